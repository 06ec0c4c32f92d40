"""One step of a pipeline in a job of its own: ``python -m training.job STEP``, as SageMaker starts it.

What the step came to stands in ``OUT/facts.json``; what the state machine goes by is repeated in the file
``--message``, which SageMaker hands on as the job's ``ExitMessage`` (up to 1 KB, developer guide, "Save and
Access Metadata Information About Your Processing Job"). A candidate that is not better is no failure: the
message says so, and the exit code is 0.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from model_store.contract.errors import SwitchyardError
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore
from training.fit import Epoch
from training.recipe import read_recipe
from training.steps import DO, Facts, Work, do, read_pipeline

LIVE = "SWITCHYARD_LIVE"
"""The version that is live, as a number; 0 for none. In the environment, where a state machine can put it."""

MESSAGE_BYTES = 1_000
_GOES_BY = ("go_on", "version", "created", "shift", "said")


def main(words: list[str] | None = None) -> int:
    """Carry the step out; exit code 1 with a line on stderr, and in the message, for what cannot be done."""
    parser = argparse.ArgumentParser(description="One step of a pipeline.")
    parser.add_argument("step", choices=sorted(DO))
    parser.add_argument("--pipeline", type=Path, required=True, help="the pipeline.toml")
    parser.add_argument("--done", type=Path, required=True, help="holds the folders of the steps before")
    parser.add_argument("--out", type=Path, required=True, help="the folder of this step")
    parser.add_argument("--checkpoints", type=Path, default=None, help="where training goes on from")
    parser.add_argument("--message", type=Path, default=None, help="what is told of the outcome, as JSON")
    parser.add_argument("--store", default="", help="the bucket of the model store")
    parser.add_argument("--sign-with", default="", help="the key that signs what is published")
    parser.add_argument("--by", default="a pipeline", help="who publishes")
    given = parser.parse_args(words)
    try:
        told = _told(do(given.step, _work(given)))
    except SwitchyardError as error:
        sys.stderr.write(f"error: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        _tell(given.message, {"error": str(error)[:900]})
        return 1
    _tell(given.message, told)
    return 0


def _work(given: argparse.Namespace) -> Work:
    store = _store(given.store) if given.store else None
    live = int(os.environ.get(LIVE) or 0)
    model = read_recipe(given.pipeline.parent / read_pipeline(given.pipeline).recipe).model
    return Work(
        path=given.pipeline,
        done=given.done,
        out=given.out,
        keep=Path(tempfile.mkdtemp(prefix="keep-")),
        store=store,
        live=ByVersion(model, live) if live else None,
        created_by=given.by,
        sign=_signer(store, given.sign_with, given.by) if store and given.sign_with else None,
        checkpoints=given.checkpoints,
        processes=_processes(),
        say=lambda text: print(text, file=sys.stderr, flush=True),  # noqa: T201
        on_epoch=_say,
    )


def _told(facts: Facts) -> dict[str, Any]:
    """What the state machine goes by, within what an exit message may hold."""
    told = {name: facts[name] for name in _GOES_BY if name in facts}
    if "said" in told:
        room = MESSAGE_BYTES - len(json.dumps({**told, "said": ""}).encode())
        # A character of a sentence may be six bytes of JSON.
        told["said"] = str(told["said"])[: room // 6]
    return told


def _tell(path: Path | None, told: dict[str, Any]) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(told), "utf-8")


def _processes() -> int:
    """As many as the machine has GPUs, or one."""
    import torch

    return max(1, torch.cuda.device_count())


def _store(bucket: str) -> ObjectStore:
    from model_store.adapters.s3 import S3Store

    return S3Store(bucket)


def _signer(store: ObjectStore, key: str, by: str) -> Any:
    from datetime import UTC, datetime

    from model_store.adapters.kms import KmsKeys
    from model_store.signatures import sign

    def signed(ref: ByVersion) -> None:
        sign(store, ref, KmsKeys(), key, by=by, at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))

    return signed


def _say(epoch: Epoch) -> None:
    sys.stderr.write(
        f"epoch {epoch.number}: train {epoch.train_loss:.6f} validation {epoch.validation_loss:.6f} "
        f"score {epoch.score:.4f}\n"
    )
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
