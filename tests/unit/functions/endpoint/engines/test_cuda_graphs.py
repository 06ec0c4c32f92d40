"""``functions.endpoint.engines.cuda_graphs``, where there is a GPU to capture on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

torch = pytest.importorskip("torch")
from torch import Tensor  # noqa: E402

from functions.endpoint.engines.cuda_graphs import Captures  # noqa: E402

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason="CUDA graphs need a GPU, and there is none here"
    ),
]


def captures(compute: object) -> Captures:
    return Captures(compute, torch.device("cuda", 0))  # type: ignore[arg-type]


def test_a_captured_shape_answers_what_it_answered_before() -> None:
    weight = torch.rand(16, 16, device="cuda")
    run = captures(lambda tensors: [tensors[0] @ weight])
    for rows in (1, 2, 1, 2, 1, 2):
        x = torch.rand(rows, 16)
        (found,) = run([x])
        torch.testing.assert_close(found, (x.cuda() @ weight).cpu())


def test_an_answer_is_the_caller_s_own() -> None:
    run = captures(lambda tensors: [tensors[0] + 1])
    first, second, third = (run([torch.full((4,), float(at))])[0] for at in range(3))
    assert [int(each[0]) for each in (first, second, third)] == [1, 2, 3]


def test_what_depends_on_values_runs_as_ever() -> None:
    def some(tensors: list[Tensor]) -> list[Tensor]:
        return [tensors[0][tensors[0] > 0]]

    run = captures(some)
    for count in (1, 2, 3):
        x = torch.tensor([1.0] * count + [-1.0] * (5 - count))
        assert run([x])[0].shape == (count,)


def test_threads_capture_beside_each_other() -> None:
    weight = torch.rand(64, 64, device="cuda")
    run = captures(lambda tensors: [tensors[0] @ weight])

    def ask(rows: int) -> None:
        x = torch.rand(rows, 64)
        torch.testing.assert_close(run([x])[0], (x.cuda() @ weight).cpu(), rtol=1e-4, atol=1e-4)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, [1 + number % 3 for number in range(60)]))
