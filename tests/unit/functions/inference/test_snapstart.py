"""``functions.inference.snapstart``: who waits for priming, and what a restore puts right."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import local_cloud.extension
from functions.inference.snapstart import prepare


def prepared(kind: str | None) -> list[str]:
    done: list[str] = []
    environ = {} if kind is None else {"AWS_LAMBDA_INITIALIZATION_TYPE": kind}
    prepare(environ, prime=lambda: done.append("primed"), refresh=lambda: done.append("refreshed"))
    return done


@pytest.mark.parametrize(
    ("kind", "done"), [(None, []), ("on-demand", []), ("provisioned-concurrency", ["primed"])]
)
def test_only_a_start_that_nobody_waits_for_is_primed(kind: str | None, done: list[str]) -> None:
    assert prepared(kind) == done


def test_snapstart_primes_before_the_snapshot_and_refreshes_after_the_restore(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in = Path(local_cloud.extension.__file__).parent / "runtime"
    monkeypatch.syspath_prepend(str(stand_in))
    monkeypatch.delitem(sys.modules, "snapshot_restore_py", raising=False)
    done = prepared("snap-start")
    import snapshot_restore_py

    assert done == []
    for hook, args, kwargs in snapshot_restore_py.get_before_snapshot():
        hook(*args, **kwargs)
    assert done == ["primed"]
    for hook, args, kwargs in snapshot_restore_py.get_after_restore():
        hook(*args, **kwargs)
    assert done == ["primed", "refreshed"]
