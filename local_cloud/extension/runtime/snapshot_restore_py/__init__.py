"""The SnapStart hooks of Lambda's Python runtime, which brings this package along.

AWS: "Lambda SnapStart runtime hooks for Python" in the Lambda developer guide. ``before_snapshot`` hooks run
in reverse order of registration, ``after_restore`` hooks in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Hook = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

_before_snapshot: list[Hook] = []
_after_restore: list[Hook] = []


def register_before_snapshot(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
    """Run ``func`` before the snapshot is taken; usable as a decorator."""
    _before_snapshot.append((func, args, kwargs))
    return func


def register_after_restore(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
    """Run ``func`` after an environment was restored from the snapshot; usable as a decorator."""
    _after_restore.append((func, args, kwargs))
    return func


def get_before_snapshot() -> list[Hook]:
    """Return the hooks in the order of registration."""
    return _before_snapshot


def get_after_restore() -> list[Hook]:
    """Return the hooks in the order of registration."""
    return _after_restore
