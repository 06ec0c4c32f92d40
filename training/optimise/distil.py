"""Distil: fit a smaller network to what a version answers, softened, and to the truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from training.data.declared import CLASSIFICATION
from training.errors import RecipeError
from training.export.parity import Session
from training.fit import LossOf
from training.make import Task, export_task, fit_here
from training.measured import probabilities_of
from training.networks import target_scale

TEMPERATURE = 4.0
SOFT_SHARE = 0.7


def distilled(
    student: Task,
    teacher: Path,
    folder: Path,
    *,
    temperature: float = TEMPERATURE,
    soft: float = SOFT_SHARE,
) -> Path:
    """Fit ``student`` to the version at ``teacher`` and export it; returns the file.

    The loss is ``soft`` parts of how far the student is from the teacher (Kullback-Leibler divergence of both
    at ``temperature``, times its square; squared error for numbers) and the rest the ordinary loss.
    """
    session = Session(teacher)
    loss = (
        _of_classes(session, temperature, soft)
        if student.data.task == CLASSIFICATION
        else _of_numbers(session, student, soft)
    )
    of = f"{student.recipe_digest} distil {Path(teacher).stat().st_size} {temperature:g} {soft:g}"
    fitted = fit_here(replace(student, recipe_digest=of), folder, loss_of=loss)
    path = folder / "model.onnx"
    export_task(student, fitted.weights, path)
    return path


def check_same_data(student: Task, digest: str) -> None:
    """Refuse a student of other data: its teacher would be asked about rows that it was tested on."""
    if str(student.data.digest) != digest:
        raise RecipeError(
            "the student's data are not those of the version", hint="Name the same `data` in both recipes."
        )


def soft_loss(answers: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Summed divergence of the student's logits from the teacher's at ``temperature``, times its square."""
    told = functional.log_softmax(taught / temperature, dim=1)
    said = functional.log_softmax(answers / temperature, dim=1)
    return functional.kl_div(said, told, reduction="sum", log_target=True) * temperature**2


def _of_classes(session: Session, temperature: float, soft: float) -> LossOf:
    def loss(inputs: Tensor, answers: Tensor, targets: Tensor) -> Tensor:
        probabilities = torch.from_numpy(_probabilities(session, inputs))
        taught = probabilities.clamp(min=1e-9).log().to(answers.device)
        hard = functional.cross_entropy(answers, targets, reduction="sum")
        return soft * soft_loss(answers, taught, temperature) + (1 - soft) * hard

    return loss


def _of_numbers(session: Session, student: Task, soft: float) -> LossOf:
    mean, deviation = target_scale(student.recipe, student.data)

    def loss(inputs: Tensor, answers: Tensor, targets: Tensor) -> Tensor:
        told = torch.from_numpy(next(iter(session(inputs.cpu().numpy()).values()))).to(answers.device)
        said = answers.squeeze(1)
        near = functional.mse_loss(said, (told - mean) / deviation, reduction="sum")
        return soft * near + (1 - soft) * functional.mse_loss(said, targets, reduction="sum")

    return loss


def _probabilities(session: Session, inputs: Tensor) -> Any:
    return probabilities_of(session(inputs.cpu().numpy()))
