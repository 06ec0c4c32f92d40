"""Lambda entry point of the authorizer. A wrong environment fails here, at init, and not at a request."""

from __future__ import annotations

import os

from functions.authorizer.adapters.https import HttpsDocuments
from functions.authorizer.authorizer import Authorizer

handler = Authorizer.from_environment(os.environ, HttpsDocuments())
