"""``functions.endpoint.__main__``: the command a container is started with."""

from __future__ import annotations

import pytest

from functions.endpoint.__main__ import run


def test_an_unknown_word_is_a_mistake_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train"]) == 2
    assert "serve" in capsys.readouterr().err


def test_settings_that_cannot_be_end_the_process_with_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_WORKERS", "none")
    assert run(["serve"]) == 1
    assert "SWITCHYARD_WORKERS" in capsys.readouterr().err
