"""Lambda entry point of the front. A wrong environment fails here, at init, and not at a request."""

from __future__ import annotations

import os
from functools import cache

from functions.front.adapters.aws import LambdaInvoker
from functions.front.front import Front

# One client per environment, made when a readiness check first needs it.
handler = Front.from_environment(os.environ, connect=cache(LambdaInvoker))
