"""A fit as people see it."""

import io

import pytest
from rich.console import Console

from training.errors import MissingPackageError
from training.fit import Epoch
from yard import output
from yard.fitting import curves, needed, spark

EPOCHS = [Epoch(number, 2.0 / number, 2.1 / number, number / 10, 0.1) for number in range(1, 6)]


@pytest.fixture(params=[True, False], ids=["terminal", "lines"])
def console(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    monkeypatch.setattr(output, "people", Console(file=written, force_terminal=request.param, width=100))
    return written


def test_every_epoch_is_shown(console: io.StringIO) -> None:
    with curves("fitting digits") as heard:
        for epoch in EPOCHS:
            heard(epoch)
    assert "0.4000" in console.getvalue()
    assert "epoch 5" in console.getvalue()


def test_the_lowest_value_is_the_lowest_block() -> None:
    assert spark([3.0, 2.0, 1.0]) == "█▅▁"
    assert spark([1.0, 1.0]) == "▁▁"
    assert spark([]) == ""
    assert len(spark([float(value) for value in range(100)])) == 40


def test_a_missing_package_is_said_with_the_command_that_installs_it() -> None:
    with pytest.raises(MissingPackageError, match="`torch_of_tomorrow`") as refused, needed():
        __import__("torch_of_tomorrow")
    assert "requirements-train.txt" in str(refused.value.hint)
