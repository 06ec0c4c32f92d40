"""The example model that the end-to-end tests publish, and one request to it."""

from __future__ import annotations

import json

from tests.conftest import ROOT

DIGITS = ROOT / "examples" / "digits"
REQUEST = json.loads((DIGITS / "request.json").read_text())
