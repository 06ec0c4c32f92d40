"""``model_store.contract.tensors``: names, datatypes and shapes as the protocol writes them."""

import pytest

from model_store.contract.errors import InvalidArtifactError
from model_store.contract.tensors import TensorData, TensorSpec


def test_every_chosen_size_is_minus_one_on_the_wire() -> None:
    """Law 7: Open Inference Protocol V2, variable sizes are -1."""
    assert TensorSpec("x", "FP32", ("batch", 3, "?0", 0)).wire_shape == [-1, 3, -1, 0]
    assert TensorSpec("x", "FP32", ()).wire_shape == []


@pytest.mark.parametrize("datatype", ["FLOAT", "fp32", "", "BF8"])
def test_a_datatype_that_the_protocol_does_not_know_is_refused(datatype: str) -> None:
    with pytest.raises(InvalidArtifactError, match="unknown datatype"):
        TensorSpec("x", datatype, ())


def test_a_spec_keeps_the_names_of_its_sizes() -> None:
    spec = TensorSpec("x", "FP32", ("batch", 3))
    assert TensorSpec.from_json(spec.as_json()) == spec
    assert spec.as_json() == {"name": "x", "datatype": "FP32", "shape": ["batch", 3]}


def test_data_is_written_as_a_request_writes_it() -> None:
    data = TensorData("x", "INT64", (1, 2), (1, 2))
    assert data.as_json() == {"name": "x", "datatype": "INT64", "shape": [1, 2], "data": [1, 2]}
    assert TensorData.from_json(data.as_json()) == data
