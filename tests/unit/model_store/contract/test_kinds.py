"""``model_store.contract.kinds``."""

from model_store.contract.kinds import KINDS, RUNS_ON, TORCH_PICKLE


def test_no_target_runs_what_executes_code_when_it_is_loaded() -> None:
    """Law 12: no pickle."""
    assert TORCH_PICKLE in KINDS
    assert all(TORCH_PICKLE not in runs for runs in RUNS_ON.values())


def test_every_kind_that_a_target_runs_is_one() -> None:
    assert {kind for runs in RUNS_ON.values() for kind in runs} <= set(KINDS)
