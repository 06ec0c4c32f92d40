"""Several processes fit what one does: the same curve, the same weights; and a dead one is no end."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.unit.training.processes import DIES, fit_in
from training import launch
from training.__main__ import main
from training.errors import FitError
from training.fit import Fitted
from training.launch import fit_together
from training.make import Task, fit_here

# 70 rows a batch are not divided evenly by 4, and the last batch of 1078 has 28: 16 steps an epoch.
CHANGES = (("epochs = 4", "epochs = 5\nbatch_size = 70\nclip_norm = 1.0\nweight_decay = 1e-3"),)
Read = Callable[..., Task]


@pytest.fixture
def straight(task: Read, tmp_path: Path) -> tuple[Task, Fitted]:
    read = task("softmax", *CHANGES)
    return read, fit_here(read, tmp_path / "one")


def assert_alike(together: Fitted, alone: Fitted) -> None:
    """Floats are added in another order, and that is all: gradients are those of the whole batch."""
    for several, one in zip(together.history, alone.history, strict=True):
        assert several.train_loss == pytest.approx(one.train_loss, rel=1e-4)
        assert several.validation_loss == pytest.approx(one.validation_loss, rel=1e-4)
        assert several.score == pytest.approx(one.score, abs=1 / 300)
    for name, weights in alone.weights.items():
        assert torch.allclose(together.weights[name], weights, atol=1e-4), name


@pytest.mark.parametrize(
    ("processes", "strategy"), [(2, "ddp"), (4, "ddp"), (2, "fsdp")], ids=["two", "four", "sharded"]
)
def test_processes_together_fit_what_one_fits(
    processes: int, strategy: str, straight: tuple[Task, Fitted], task: Read, recipes: Path, kept: Path
) -> None:
    read = task("softmax", ("seed = 1", f'seed = 1\nstrategy = "{strategy}"'))
    ended = fit_in(recipes / "softmax.toml", recipes / "out", kept, processes=processes)
    assert ended == [0] * processes
    heard: list[object] = []
    together = fit_here(read, recipes / "out", on_epoch=heard.append)
    assert heard == [], "they left nothing to fit"
    assert_alike(together, straight[1])


def test_a_killed_worker_is_started_again_and_the_fit_ends_the_same(
    task: Read, recipes: Path, kept: Path
) -> None:
    """In the middle of the third epoch, by its own hand: at a moment that nobody has to hit."""
    when = (
        'self.steps == 40 and os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0" '
        'and os.environ["RANK"] == "1" and open(__file__ + ".died", "x")'
    )
    (recipes / "dies.py").write_text(DIES.format(network="linear", when=when))
    read = task("softmax", *CHANGES, ('name = "linear"', 'file = "dies.py"'))
    alone = fit_here(read, recipes / "one")
    together = fit_together(read, recipes / "softmax.toml", recipes / "out", kept, processes=2)
    assert (recipes / "dies.py.died").exists()
    assert_alike(together, alone)


def test_workers_that_cannot_go_on_end_with_one_error(
    task: Read, recipes: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = task("softmax")
    monkeypatch.setattr(launch, "torchrun", lambda *_, **__: [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(FitError, match="the 2 processes ended with 3"):
        fit_together(read, recipes / "softmax.toml", recipes / "out", kept, processes=2)


def test_a_worker_says_in_one_line_why_it_cannot_begin(
    recipes: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (recipes / "softmax.toml").write_text("model = ")
    monkeypatch.setattr(sys, "argv", ["training", str(recipes / "softmax.toml"), str(recipes / "out")])
    assert main() == 1
    assert capsys.readouterr().err.startswith("error: `softmax.toml` is not TOML")
