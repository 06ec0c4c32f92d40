"""``model_store.golden``: what a version was given and gave, once, at publish."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from model_store.artifact import find_source
from model_store.contract.digest import Digest
from model_store.contract.errors import InvalidArtifactError, LocalFileError
from model_store.contract.tensors import TensorData, TensorSpec
from model_store.golden import make_golden, observed, read_sample
from model_store.onnx_file import OpenModel, open_model

SaveModel = Callable[..., Path]
DIGEST = Digest.of(b"artifact")
ROWS = (TensorSpec("x", "FP32", ("batch", 4)),)


@pytest.fixture
def opened(save: SaveModel) -> Callable[..., OpenModel]:
    return lambda *args, **settings: open_model(find_source(save(*args, **settings)))


@pytest.fixture
def sample(tmp_path: Path) -> Callable[..., Path]:
    """Write a V2 request with one input ``x``; the arguments replace what is sensible."""

    def sample(**changed: Any) -> Path:
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4.5], **changed}
        path = tmp_path / "sample.json"
        path.write_text(json.dumps({"inputs": [tensor]}))
        return path

    return sample


def info(name: str, kind: int, shape: list[Any] | None) -> Any:
    return helper.make_value_info(name, helper.make_tensor_type_proto(kind, shape))


def test_a_generated_sample_follows_from_the_digest_alone(opened: Callable[..., OpenModel]) -> None:
    model = opened()
    first = make_golden(model, DIGEST, None)
    assert make_golden(model, DIGEST, None) == first
    assert make_golden(model, Digest.of(b"another"), None) != first
    assert first.inputs[0].shape == (2, 4)


def test_the_outputs_are_what_the_model_gives(
    opened: Callable[..., OpenModel], sample: Callable[..., Path]
) -> None:
    golden = make_golden(opened(), DIGEST, sample())
    assert golden.inputs == (TensorData("x", "FP32", (1, 4), (1.0, 2.0, 3.0, 4.5)),)
    assert golden.outputs == (TensorData("y", "FP32", (1, 4), (2.0, 4.0, 6.0, 9.0)),)


def test_numbers_are_written_with_the_digits_they_need(
    opened: Callable[..., OpenModel], sample: Callable[..., Path]
) -> None:
    golden = make_golden(opened(scale=1.0), DIGEST, sample(data=[0.1, 1 / 3, 1e-30, 16777217]))
    assert golden.outputs[0].data[0] == 0.1
    back = np.array(golden.outputs[0].data, np.float32)
    assert (back == np.array([0.1, 1 / 3, 1e-30, 16777217], np.float32)).all()


def test_one_name_is_one_size_over_all_inputs(opened: Callable[..., OpenModel]) -> None:
    model = opened(
        [helper.make_node("Add", ["a", "b"], ["y"])],
        [info("a", TensorProto.FLOAT, ["n", "m"]), info("b", TensorProto.FLOAT, ["n", "m"])],
        [info("y", TensorProto.FLOAT, ["n", "m"])],
    )
    golden = make_golden(model, DIGEST, None)
    assert [tensor.shape for tensor in golden.inputs] == [(2, 8), (2, 8)]


def test_a_model_that_takes_one_row_only_gets_one(opened: Callable[..., OpenModel]) -> None:
    model = opened(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        None,
        [info("y", TensorProto.FLOAT, [2, 2])],
        [numpy_helper.from_array(np.array([2, 2]), "shape")],
    )
    assert make_golden(model, DIGEST, None).inputs[0].shape == (1, 4)


def test_an_index_stays_within_its_table(opened: Callable[..., OpenModel]) -> None:
    model = opened(
        [
            helper.make_node("Cast", ["x"], ["at"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "at"], ["y"]),
        ],
        [info("x", TensorProto.UINT8, ["n"])],
        [info("y", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(np.array([0.5, 1.5], np.float32), "table")],
    )
    golden = make_golden(model, DIGEST, None)
    assert set(golden.inputs[0].data) <= {0, 1}


def test_a_model_that_no_generated_sample_fits_asks_for_one(
    opened: Callable[..., OpenModel], sample: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    model = opened(
        [helper.make_node("Reshape", ["x", "shape"], ["y"])],
        [info("x", TensorProto.FLOAT, ["batch", "n"])],
        [info("y", TensorProto.FLOAT, [3, 1])],
        [numpy_helper.from_array(np.array([3, 1]), "shape")],
    )
    with pytest.raises(
        InvalidArtifactError, match=r"no generated sample fits the model: .*Reshape"
    ) as refusal:
        make_golden(model, DIGEST, None)
    assert refusal.value.hint is not None
    assert "--sample" in refusal.value.hint
    assert make_golden(model, DIGEST, sample(shape=[1, 3], data=[1, 2, 3])).outputs[0].shape == (3, 1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("data", [[-1, 1, 1, 1], [0, 1, 1, 1]])
def test_an_answer_of_nan_or_infinity_is_refused(
    opened: Callable[..., OpenModel], sample: Callable[..., Path], data: list[float]
) -> None:
    model = opened([helper.make_node("Log", ["x"], ["y"])])
    with pytest.raises(InvalidArtifactError, match="output `y` holds NaN or infinity") as refusal:
        make_golden(model, DIGEST, sample(data=data))
    assert refusal.value.hint is not None
    assert "--sample" in refusal.value.hint


def test_a_model_that_rolls_dice_is_refused(opened: Callable[..., OpenModel]) -> None:
    """Law 5: what is not the same twice could never be checked at release."""
    dice = helper.make_node("RandomUniformLike", ["x"], ["y"])
    with pytest.raises(InvalidArtifactError, match="differently the second time"):
        make_golden(opened([dice]), DIGEST, None)


def test_half_precision_gets_a_tolerance_it_can_keep(opened: Callable[..., OpenModel]) -> None:
    model = opened(
        [helper.make_node("Sqrt", ["x"], ["y"])],
        [info("x", TensorProto.FLOAT16, [4])],
        [info("y", TensorProto.FLOAT16, [4])],
    )
    golden = make_golden(model, DIGEST, None)
    assert (golden.rtol, golden.atol) == (1e-2, 1e-3)


def test_text_goes_in_and_out(opened: Callable[..., OpenModel], sample: Callable[..., Path]) -> None:
    model = opened(
        [helper.make_node("Identity", ["x"], ["y"])],
        [info("x", TensorProto.STRING, ["n"])],
        [info("y", TensorProto.STRING, ["n"])],
    )
    golden = make_golden(model, DIGEST, sample(datatype="BYTES", shape=[2], data=["zwölf", ""]))
    assert golden.outputs[0].data == ("zwölf", "")
    assert make_golden(model, DIGEST, None).outputs[0].data == ("a", "a")


def test_a_sample_too_large_for_one_request_is_refused(
    opened: Callable[..., OpenModel], sample: Callable[..., Path]
) -> None:
    """Law 8: what a release could not send is refused at publish."""
    rows = 300_000
    with pytest.raises(InvalidArtifactError, match="more than the 4 MiB"):
        make_golden(opened(), DIGEST, sample(shape=[rows, 4], data=[0.5] * rows * 4))


def test_a_model_whose_inputs_are_huge_asks_for_a_sample(opened: Callable[..., OpenModel]) -> None:
    model = opened(
        [helper.make_node("ReduceMax", ["x"], ["y"], keepdims=0)],
        [info("x", TensorProto.FLOAT, [1000, 1000])],
        [info("y", TensorProto.FLOAT, [])],
    )
    with pytest.raises(InvalidArtifactError, match="too large for a generated sample"):
        make_golden(model, DIGEST, None)


# Reading a sample


def test_nested_data_is_read_row_by_row(sample: Callable[..., Path]) -> None:
    path = sample(shape=[2, 4], data=[[1, 2, 3, 4], [5, 6, 7, 8]])
    assert read_sample(path, ROWS)[0].data == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0)


def test_an_npz_is_a_sample_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "sample.npz", x=np.arange(8.0).reshape(2, 4))  # float64, as numpy likes it
    (tensor,) = read_sample(tmp_path / "sample.npz", ROWS)
    assert (tensor.datatype, tensor.shape, tensor.data[-1]) == ("FP32", (2, 4), 7.0)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another name": ({"name": "z"}, "an input `z`, which the model does not take"),
    "another rank": ({"shape": [4]}, r"has shape \[4\], expected FP32 with shape \[-1, 4\]"),
    "another size": ({"shape": [2, 2]}, r"has shape \[2, 2\]"),
    "too few values": ({"data": [1, 2, 3]}, r"3 values, its shape \[1, 4\] needs 4"),
    "a negative size": ({"shape": [-1, -4]}, "values"),
    "a text among numbers": ({"data": [1, 2, 3, "4"]}, "'4', which is no FP32"),
    "a truth among numbers": ({"data": [1, 2, 3, True]}, "True, which is no FP32"),
    "null": ({"data": None, "shape": [1]}, "None, which is no FP32"),
    "an unknown datatype": ({"datatype": "FLOAT"}, "unknown datatype `FLOAT`"),
    "NaN": ({"data": [1, 2, 3, float("nan")]}, "NaN is not a number that JSON knows"),
    "infinity in disguise": ({"data": [1, 2, 3, 1e300]}, "holds NaN or infinity"),
    "a number too large": ({"datatype": "UINT8", "data": [1, 2, 3, 256]}, "too large for UINT8"),
    "a fraction": ({"datatype": "INT8", "data": [1, 2, 3, 0.5]}, "0.5, which is no INT8"),
}


@pytest.mark.parametrize("wrong", sorted(WRONG))
def test_a_sample_that_does_not_fit_says_what_was_expected(sample: Callable[..., Path], wrong: str) -> None:
    changed, said = WRONG[wrong]
    with pytest.raises(InvalidArtifactError, match=said) as refusal:
        read_sample(sample(**changed), ROWS)
    assert refusal.value.hint is not None


def test_a_missing_input_is_named(sample: Callable[..., Path]) -> None:
    with pytest.raises(InvalidArtifactError, match="has no input `mask`"):
        read_sample(sample(), (*ROWS, TensorSpec("mask", "BOOL", (4,))))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "nothing", '{"inputs": 3}', '{"inputs": [{"name": "x"}]}', '{"inputs": [3]}']
)
def test_a_file_that_is_no_request_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "sample.json").write_text(text)
    with pytest.raises(InvalidArtifactError):
        read_sample(tmp_path / "sample.json", ROWS)


def test_a_sample_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LocalFileError, match="gone"):
        read_sample(tmp_path / "gone.json", ROWS)


def test_an_npz_with_a_pickle_inside_is_refused(tmp_path: Path) -> None:
    """Law 12: an array of objects is a pickle."""
    np.savez(tmp_path / "sample.npz", x=np.array([[{}, {}, {}, {}]], dtype=object))
    with pytest.raises(InvalidArtifactError, match=r"not an \.npz of plain arrays"):
        read_sample(tmp_path / "sample.npz", ROWS)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"nonsense", b"\x93NUMPY\x01\x00"])
def test_an_npz_that_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "sample.npz").write_bytes(data)
    with pytest.raises(InvalidArtifactError, match=r"not an \.npz"):
        read_sample(tmp_path / "sample.npz", ROWS)


def test_an_array_that_would_lose_something_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "sample.npz", x=np.full((1, 4), 0.5))
    with pytest.raises(InvalidArtifactError, match="is `float64`, expected INT64"):
        read_sample(tmp_path / "sample.npz", (TensorSpec("x", "INT64", ("n", 4)),))
    np.savez(tmp_path / "sample.npz", x=np.full((1, 4), 2**40))
    with pytest.raises(InvalidArtifactError, match="is `int64`, expected INT32"):
        read_sample(tmp_path / "sample.npz", (TensorSpec("x", "INT32", ("n", 4)),))


def test_what_an_output_declares_gives_way_to_what_came_out() -> None:
    declared = (
        TensorSpec("right", "FP32", ("n", 4)),
        TensorSpec("wrong", "FP32", ("n", 4)),
        TensorSpec("open", "FP32", ()),
        TensorSpec("scalar", "FP32", ()),
    )
    seen = [
        TensorData("right", "FP32", (2, 4), (0.0,) * 8),
        TensorData("wrong", "FP32", (2, 3), (0.0,) * 6),
        TensorData("open", "FP32", (2, 3), (0.0,) * 6),
        TensorData("scalar", "FP32", (), (0.0,)),
    ]
    shapes = [spec.shape for spec in observed(declared, seen)]
    assert shapes == [("n", 4), ("n", "?wrong1"), ("?open0", "?open1"), ()]
