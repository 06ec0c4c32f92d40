"""Lambda entry point of the widget that marks releases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from dashboards.adapters.cloudwatch import CloudWatchBoards
from functions.marks.widget import Widget
from model_store.adapters.s3 import S3Store
from model_store.contract.environment import BUCKET, STAGE


@cache
def _widget() -> Widget:
    return Widget(os.environ[STAGE], S3Store(os.environ[BUCKET]), CloudWatchBoards())


def handler(event: Mapping[str, Any], context: object) -> str:
    """Draw the widget that CloudWatch asks for."""
    return _widget()(event, context)
