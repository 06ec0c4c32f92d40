"""``functions.endpoint.batches``: joined and parted, and nobody gets another's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.endpoint.batches import (
    Work,
    is_batched,
    is_bounded,
    keeps_rows_apart,
    key_of,
    repeated,
    run,
)
from functions.inference.predictor import BadInputError, Stop
from functions.protocol.requests import Signature
from functions.protocol.tensors import BFLOAT16, Array, bfloat16_from_floats, floats_from_bfloat16
from model_store.contract.tensors import Dimension, TensorSpec

POISON = 666.0


class Doubling:
    """An engine that doubles ``x`` and refuses what is poisoned; remembers the size of every run."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
    ) -> dict[str, Array]:
        self.sizes.append(len(inputs["x"]))
        if (inputs["x"] == POISON).any():
            raise BadInputError("poisoned")
        return dict.fromkeys(outputs, inputs["x"] * 2)


class Stopped(Doubling):
    """An engine that somebody stops."""

    def __call__(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
    ) -> dict[str, Array]:
        assert options is not None
        options.terminate = True
        self.sizes.append(len(inputs["x"]))
        raise BadInputError("terminated")


class Flag:
    terminate = False


def work(*values: float) -> Work:
    return Work({"x": np.array(values, np.float32).reshape(-1, 1)}, ("y",))


def spec(*shape: Dimension, datatype: str = "FP32") -> TensorSpec:
    return TensorSpec("t", datatype, shape)


def signature(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> Signature:
    return Signature(
        {f"i{at}": one for at, one in enumerate(inputs)}, {f"o{at}": one for at, one in enumerate(outputs)}
    )


@given(st.lists(st.lists(st.sampled_from([1.0, 2.0, 3.0, POISON]), min_size=1, max_size=3), min_size=1))
def test_every_request_gets_its_own_rows_and_only_the_poisoned_fail(requests: list[list[float]]) -> None:
    results = run(Doubling(), [work(*values) for values in requests])
    assert len(results) == len(requests)
    for values, result in zip(requests, results, strict=True):
        if POISON in values:
            assert isinstance(result, BadInputError)
        else:
            assert isinstance(result, dict)
            assert result["y"].reshape(-1).tolist() == [value * 2 for value in values]


def test_one_poisoned_request_in_32_costs_a_few_runs_and_not_32() -> None:
    engine = Doubling()
    results = run(engine, [work(POISON if at == 11 else at) for at in range(32)])
    assert sum(isinstance(result, dict) for result in results) == 31
    assert len(engine.sizes) == 1 + 2 * 5


def test_a_run_that_was_stopped_is_not_repeated() -> None:
    engine = Stopped()
    results = run(engine, [work(1), work(2)], Flag())
    assert engine.sizes == [2]
    assert all(isinstance(result, BadInputError) for result in results)


def test_a_failure_that_is_nobody_s_fault_is_everybody_s_result() -> None:
    def broken(inputs: object, outputs: object, *, options: object = None) -> dict[str, Array]:
        raise RuntimeError("device lost")

    assert [type(result) for result in run(broken, [work(1), work(2)])] == [RuntimeError, RuntimeError]


def test_outputs_without_the_rows_of_the_inputs_are_computed_one_by_one() -> None:
    def total(
        inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
    ) -> dict[str, Array]:
        return {"y": inputs["x"].sum(axis=0)}

    results = run(total, [work(1, 2), work(3)])
    assert [result["y"].tolist() for result in results if isinstance(result, dict)] == [[3.0], [3.0]]


def test_requests_share_a_run_only_if_all_but_the_rows_agrees() -> None:
    assert key_of(work(1)) == key_of(work(2, 3))
    wide = Work({"x": np.zeros((1, 2), np.float32)}, ("y",))
    assert key_of(wide) != key_of(work(1))
    assert key_of(work(1)._replace(outputs=("z",))) != key_of(work(1))


@pytest.mark.parametrize(
    "inputs",
    [
        {"a": np.zeros((2, 1)), "b": np.zeros((3, 1))},
        {"a": np.zeros((0, 1))},
        {"a": np.zeros(())},
    ],
    ids=["unequal rows", "no rows", "a scalar"],
)
def test_a_request_without_a_clear_number_of_rows_runs_alone(inputs: dict[str, Array]) -> None:
    assert key_of(Work(inputs, ("y",))) is None


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        ([spec("n", 4)], [spec("n", 3), spec("n")], True),
        ([spec("n", 4), spec("m", 4)], [spec("n")], False),
        ([spec("n", 4)], [spec(3)], False),
        ([spec(1, 4)], [spec(1)], False),
        ([spec("n", 4)], [spec()], False),
        ([], [spec("n")], False),
    ],
)
def test_rows_are_joined_where_every_tensor_has_the_same_chosen_first_size(
    inputs: list[TensorSpec], outputs: list[TensorSpec], expected: bool
) -> None:
    assert is_batched(signature(inputs, outputs)) is expected


def test_work_is_bounded_where_the_caller_chooses_rows_only() -> None:
    assert is_bounded(signature([spec("n", 4)], []))
    assert not is_bounded(signature([spec("n", "length")], []))
    assert not is_bounded(signature([spec("n", -1)], []))


def test_a_model_that_looks_at_other_rows_is_found_out() -> None:
    def centred(
        inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
    ) -> dict[str, Array]:
        return {"y": inputs["x"] - inputs["x"].mean(axis=0)}

    assert keeps_rows_apart(Doubling(), work(1, 2), rtol=1e-4, atol=1e-5)
    assert not keeps_rows_apart(centred, work(1, 2), rtol=1e-4, atol=1e-5)


def test_a_model_that_refuses_zeros_is_tried_with_itself_for_company() -> None:
    class NoZeros(Doubling):
        def __call__(
            self, inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
        ) -> dict[str, Array]:
            if not inputs["x"].all():
                raise BadInputError("zero")
            return super().__call__(inputs, outputs, options=options)

    assert keeps_rows_apart(NoZeros(), work(1, 2), rtol=1e-4, atol=1e-5)
    assert not keeps_rows_apart(NoZeros(), work(0), rtol=1e-4, atol=1e-5)


def test_texts_keep_company_with_empty_texts() -> None:
    def echo(
        inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
    ) -> dict[str, Array]:
        return {"y": inputs["x"]}

    texts = Work({"x": np.array([["a"], ["b"]], object)}, ("y",))
    assert keeps_rows_apart(echo, texts, rtol=0, atol=0)


def test_a_request_is_repeated_to_as_many_rows_as_wanted() -> None:
    assert repeated(work(1, 2), 5).inputs["x"].reshape(-1).tolist() == [1, 2, 1, 2, 1]


class RoundingInCompany(Doubling):
    """An engine of BF16 whose last bit depends on how many rows there are, as sums in another order do."""

    def __call__(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
    ) -> dict[str, Array]:
        floats = floats_from_bfloat16(inputs["x"]) * (2 if len(inputs["x"]) == 1 else 2 + 2**-7)
        return dict.fromkeys(outputs, bfloat16_from_floats(floats))


def test_rows_of_bfloat16_are_joined_and_compared_as_numbers() -> None:
    x = bfloat16_from_floats(np.array([[1.0, 3.0]], np.float32))
    asked = Work({"x": x}, ("y",))
    assert keeps_rows_apart(RoundingInCompany(), asked, rtol=1e-2, atol=1e-3)
    assert not keeps_rows_apart(RoundingInCompany(), asked, rtol=1e-4, atol=1e-5)
    joined = run(RoundingInCompany(), [asked, asked])
    assert [result["y"].dtype == BFLOAT16 for result in joined if isinstance(result, dict)] == [True, True]
