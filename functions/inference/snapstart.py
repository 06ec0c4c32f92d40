"""What is done before a snapshot is taken of this process, and after one was restored.

With SnapStart, Lambda starts the function once when a version is published, and continues copies of it.
Time spent before the snapshot is nobody's waiting time, so the model is run there; what is only true of
one machine and one moment is put right after each restore.

Source: AWS Lambda developer guide, "Lambda SnapStart runtime hooks for Python". The package
``snapshot_restore_py`` comes with the runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

INITIALIZATION = "AWS_LAMBDA_INITIALIZATION_TYPE"

_ON_DEMAND = "on-demand"
_SNAPSTART = "snap-start"


def prepare(
    environ: Mapping[str, str], *, prime: Callable[[], object], refresh: Callable[[], object]
) -> None:
    """Run ``prime`` where nobody waits for it, and let ``refresh`` run after every restore.

    A start on demand goes without: its first request would wait for the model to run twice. Raises what
    ``prime`` raises, so that a version whose model cannot run is never published.
    """
    kind = environ.get(INITIALIZATION, _ON_DEMAND)
    if kind == _SNAPSTART:
        import snapshot_restore_py

        snapshot_restore_py.register_before_snapshot(prime)
        snapshot_restore_py.register_after_restore(refresh)
    elif kind != _ON_DEMAND:
        prime()
