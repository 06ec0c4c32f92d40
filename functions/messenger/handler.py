"""Lambda entry point of the messenger."""

from __future__ import annotations

import os
from functools import cache

from functions.messenger.adapters.aws import AwsWaysOut
from functions.messenger.messenger import Messenger, Receivers
from model_store.contract.environment import MESSAGE_TOPIC

_topic = os.environ[MESSAGE_TOPIC]

handler = Messenger(Receivers.of(os.environ), connect=cache(lambda: AwsWaysOut(topic=_topic)))
