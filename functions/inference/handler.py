"""Lambda entry point. Every line here runs once, in the init phase, before a SnapStart snapshot.

Nothing loaded here goes stale in a restored snapshot: no connection, no clock, no random state. If
that changes, the hook to refresh it (``snapshot_restore_py.register_after_restore``) belongs here.
"""

from __future__ import annotations

import os

from functions.inference.app import create_app
from functions.inference.door import HttpDoor
from functions.inference.pinned import PinnedDoor
from functions.inference.served import load_served
from functions.inference.siblings import siblings_of
from model_store.contract.environment import STAGE

_served = load_served(os.environ)

handler = PinnedDoor(
    HttpDoor(create_app(_served, stage=os.environ.get(STAGE))), _served, connect=siblings_of(os.environ)
)
