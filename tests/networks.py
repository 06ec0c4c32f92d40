"""Networks of torch that tests export, serve and compare. Needs torch: imported inside tests marked ``train``."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn


class Digits(nn.Module):
    """64 pixels to ten scores and the best of them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden = nn.Linear(64, 32)
        self.last = nn.Linear(32, 10)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        scores = self.last(torch.relu(self.hidden(image)))
        return {"scores": scores, "label": scores.argmax(1)}


class Patient(nn.Module):
    """Takes as long as it is asked to, and refuses an index outside its table of eight."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(8, dtype=torch.float32) * 1.5)

    def forward(self, turns: Tensor, index: Tensor) -> dict[str, Tensor]:
        most = turns.max()
        zero = torch.zeros((), dtype=torch.int64)
        _, spent = torch.while_loop(  # type: ignore[no-untyped-call]
            lambda i, _: i < most, lambda i, before: (i + 1, before + i), (zero, zero.clone())
        )
        return {"value": self.table[index + spent * 0]}


class PatientScript(nn.Module):
    """The same as a program of TorchScript."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.arange(8, dtype=torch.float32) * 1.5

    def forward(self, turns: Tensor, index: Tensor) -> Tensor:
        most = int(turns.max())
        spent = 0
        while spent < most:
            spent += 1
        return self.table[index + spent * 0]


def examples(model: nn.Module, rows: int = 2) -> tuple[Tensor, ...]:
    """Arguments that the network takes."""
    if isinstance(model, Digits):
        return (torch.ones(rows, 64),)
    return (torch.zeros(rows, 1, dtype=torch.int64), torch.ones(rows, 1, dtype=torch.int64))


def exported(model: nn.Module) -> torch.export.ExportedProgram:
    """The network as a program whose number of rows the caller chooses."""
    rows = torch.export.Dim("rows")
    arguments = examples(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(
            model.eval(), arguments, dynamic_shapes=tuple({0: rows} for _ in arguments)
        )


def save_export(model: nn.Module, path: Path) -> Path:
    """A ``.pt2`` archive of the network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(exported(model), path)
    return path


def save_script(model: nn.Module, path: Path) -> Path:
    """A TorchScript archive of the network."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(model.eval()).save(path)  # type: ignore[no-untyped-call]
    return path


def save_compiled(model: nn.Module, path: Path) -> Path:
    """An AOTInductor package of the network. Needs a compiler of C++ and takes its time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch._inductor.aoti_compile_and_package(exported(model), package_path=str(path))
    return path
