"""Integrated gradients: what each value of an input was worth, by the gradients on the way from a baseline.

Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017. The worths add up to what
the answer has over that to the baseline (their axiom "completeness"), but for the error of a finite number of
steps; the places of those are Gauss's and Legendre's, which need few. ADR 56 says why this is not a
library's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from functions.protocol.errors import BadRequestError, TooLargeError

Run = Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]


class Integrated(NamedTuple):
    """``worths`` of the inputs that hold floats, by their place; the answer's value, and the baseline's."""

    worths: dict[int, torch.Tensor]
    value: float
    baseline_value: float


def integrated(
    run: Run,
    tensors: Sequence[torch.Tensor],
    at: int,
    target: int,
    *,
    baseline: float,
    steps: int,
    end: float,
) -> Integrated:
    """Explain value ``target`` (row-major) of output ``at`` of ``run`` on ``tensors``.

    Raises ``BadRequestError`` where no gradient leads from the output to an input, and ``TooLargeError`` when
    the steps would not be over by ``end``, on ``time.perf_counter``.
    """
    floats = [place for place, tensor in enumerate(tensors) if tensor.is_floating_point()]
    if not floats:
        raise BadRequestError(
            "none of the inputs holds floats, and only those have gradients: ask for occlusion"
        )
    starts = [
        torch.full_like(tensor, baseline) if place in floats else tensor
        for place, tensor in enumerate(tensors)
    ]
    sums = {place: torch.zeros_like(tensors[place], dtype=torch.float64) for place in floats}
    places, weights = np.polynomial.legendre.leggauss(steps)
    began = time.perf_counter()
    for done, (place, weight) in enumerate(zip((places + 1) / 2, weights / 2, strict=True)):
        _must_be_over(began, done, steps, end)
        for which, gradient in _gradients(run, starts, tensors, floats, float(place), at, target).items():
            sums[which] += float(weight) * gradient.to(torch.float64)
    worths = {
        place: (sums[place] * (tensors[place] - starts[place]).to(torch.float64)).to(torch.float32)
        for place in floats
    }
    with torch.no_grad():
        value, before = (float(run(points)[at].reshape(-1)[target]) for points in (tensors, starts))
    return Integrated(worths, value, before)


def _gradients(
    run: Run,
    starts: Sequence[torch.Tensor],
    ends: Sequence[torch.Tensor],
    floats: Sequence[int],
    share: float,
    at: int,
    target: int,
) -> dict[int, torch.Tensor]:
    points = [
        (start + share * (end - start)).detach().requires_grad_(place in floats) if place in floats else end
        for place, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
    with torch.enable_grad():
        value = run(points)[at].reshape(-1)[target]
        if not value.requires_grad:
            raise BadRequestError("no gradient leads from this output to an input: ask for occlusion")
        found = torch.autograd.grad(value, [points[place] for place in floats], allow_unused=True)
    return {
        place: torch.zeros_like(points[place]) if gradient is None else gradient
        for place, gradient in zip(floats, found, strict=True)
    }


def _must_be_over(began: float, done: int, steps: int, end: float) -> None:
    now = time.perf_counter()
    each = (now - began) / done if done else 0.0
    if now + each * (steps - done) > end:
        fit = int((end - began) / each) if each else 0
        raise TooLargeError(
            f"explaining takes {steps} runs of the model and back, and there is time for about "
            f"{max(0, fit)}: ask for fewer `explain_steps`"
        )
