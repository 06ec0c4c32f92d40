"""``functions.endpoint.engines.gradients``: the axioms that integrated gradients are defined by."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from functions.endpoint.engines.gradients import Integrated, Run, integrated
from functions.protocol.errors import BadRequestError, TooLargeError

pytestmark = pytest.mark.train

LONG = 1e12


def network() -> Run:
    torch.manual_seed(3)
    layers = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 16), nn.GELU(), nn.Linear(16, 4)).eval()

    def run(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return [torch.softmax(layers(tensors[0]), 1)]

    return run


def explained(
    run: Run, *tensors: Tensor, steps: int = 32, baseline: float = 0.0, target: int = 1
) -> Integrated:
    return integrated(run, tensors, 0, target, baseline=baseline, steps=steps, end=LONG)


@pytest.mark.parametrize("baseline", [0.0, -1.5], ids=["zero", "another"])
def test_the_worths_add_up_to_what_the_answer_has_over_the_baseline(baseline: float) -> None:
    """Completeness, the axiom that the method is named by; more steps come closer."""
    x = torch.randn(1, 6, generator=torch.Generator().manual_seed(1))
    missing = {}
    for steps in (2, 32):
        found = explained(network(), x, steps=steps, baseline=baseline)
        assert found.worths[0].shape == x.shape
        missing[steps] = abs(
            found.value - found.baseline_value - float(found.worths[0].sum(dtype=torch.float64))
        )
    assert missing[32] < 1e-5
    assert missing[32] < missing[2]


def test_they_are_those_of_captum() -> None:
    """The field's library, with the same steps at the same places."""
    from captum.attr import IntegratedGradients

    x = torch.randn(1, 6, generator=torch.Generator().manual_seed(2))
    found = explained(network(), x, steps=20, baseline=0.5, target=3)
    theirs = IntegratedGradients(lambda given: network()([given])[0]).attribute(
        x, baselines=0.5, target=3, n_steps=20, method="gausslegendre"
    )
    assert torch.allclose(found.worths[0], theirs.float(), atol=1e-6)


def test_of_a_sum_each_value_is_worth_what_it_adds() -> None:
    """Linearity: there the worths are known, and one step is enough."""
    weights = torch.tensor([[2.0, -1.0, 0.0]])
    found = explained(
        lambda given: [given[0] @ weights.T], torch.tensor([[3.0, 4.0, 5.0]]), steps=1, target=0
    )
    assert found.worths[0].tolist() == [[6.0, -4.0, 0.0]]
    assert (found.value, found.baseline_value) == (2.0, 0.0)


def test_what_the_answer_does_not_look_at_is_worth_nothing() -> None:
    """Dummy: also an input that the output never touches; whole numbers have no worth and keep their values."""

    def run(given: Sequence[Tensor]) -> Sequence[Tensor]:
        return [(given[0][:, :2] ** 2).sum(1) * given[2]]

    found = explained(run, torch.ones(1, 3), torch.ones(1, 4), torch.tensor([3]), target=0)
    assert set(found.worths) == {0, 1}
    assert found.worths[0][0].tolist() == pytest.approx([3.0, 3.0, 0.0])
    assert not found.worths[1].any()


def test_where_no_gradient_leads_back_that_is_said() -> None:
    with pytest.raises(BadRequestError, match="no gradient leads from this output"):
        explained(lambda given: [given[0].detach() * 2], torch.ones(1, 2))
    with pytest.raises(BadRequestError, match="none of the inputs holds floats"):
        explained(lambda given: [given[0] * 2.0], torch.ones(1, 2, dtype=torch.int64))


def test_what_would_take_too_long_is_refused_with_what_to_ask_for() -> None:
    run, runs = network(), []

    def slow(given: Sequence[Tensor]) -> Sequence[Tensor]:
        runs.append(1)
        time.sleep(0.02)
        return run(given)

    with pytest.raises(TooLargeError, match="ask for fewer `explain_steps`"):
        integrated(slow, [torch.ones(1, 6)], 0, 1, baseline=0.0, steps=256, end=time.perf_counter() + 0.1)
    assert len(runs) < 256
