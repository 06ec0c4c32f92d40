"""``training.job``: one step as a container runs it, and what the state machine hears of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.names import ByVersion
from model_store.versions import load_manifest
from training import job
from training.make import Task

Read = Callable[..., Task]


def test_jobs_one_after_another_are_the_pipeline(
    task: Read, recipes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore()
    monkeypatch.setattr(job, "_store", lambda bucket: store)
    (recipes / "pipeline.toml").write_text('recipe = "softmax.toml"\nshift = { steps = [50] }\n')
    task("softmax")
    message = recipes / "output" / "message"

    def begin(step: str, *words: str) -> tuple[int, dict[str, Any]]:
        code = job.main(
            [
                *(step, "--pipeline", str(recipes / "pipeline.toml"), "--done", str(recipes / "run")),
                *("--out", str(recipes / "run" / step), "--message", str(message), *words),
            ]
        )
        return code, json.loads(message.read_text())

    for step in ("data", "train", "optimise"):
        assert begin(step) == (0, {})
    code, told = begin("evaluate", "--store", "models")
    assert (code, told) == (0, {"go_on": True, "said": "nothing was live yet"})
    code, told = begin("publish", "--store", "models", "--by", "pipeline digits, prod")
    assert (code, told["version"], told["created"], told["shift"]["steps"]) == (0, 1, True, [50.0])
    assert load_manifest(store, ByVersion("digits", 1)).created_by == "pipeline digits, prod"

    # The same again is not better than itself. That is an answer and no failure.
    monkeypatch.setenv(job.LIVE, "1")
    code, told = begin("evaluate", "--store", "models")
    assert (code, told["go_on"]) == (0, False)
    assert "better by 0.0000" in told["said"]
    assert len(message.read_bytes()) <= job.MESSAGE_BYTES


def test_what_cannot_be_done_is_told_in_the_message(
    task: Read, recipes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recipes / "pipeline.toml").write_text('recipe = "softmax.toml"\n')
    task("softmax")
    words = ["--done", str(recipes / "run"), "--out", str(recipes / "out")]
    words += ["--message", str(recipes / "message")]
    assert job.main(["train", "--pipeline", str(recipes / "pipeline.toml"), *words]) == 1
    assert "the step `data` left nothing" in json.loads((recipes / "message").read_text())["error"]
    assert "hint: Run the steps before first." in capsys.readouterr().err
