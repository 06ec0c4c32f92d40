"""``model_store.onnx_file`` reads what it can trust and says why it refuses the rest."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model_store import onnx_file
from model_store.artifact import find_source, inspect
from model_store.contract.errors import InvalidArtifactError, NotFoundError
from model_store.contract.extensions import find_library
from model_store.contract.tensors import TensorSpec
from tests.unit import text_graphs

SaveModel = Callable[..., Path]
WEIGHTS = np.full(4, 2, np.float32).tobytes()


def value(name: str, kind: int, shape: list[Any] | None) -> onnx.ValueInfoProto:
    return helper.make_value_info(name, helper.make_tensor_type_proto(kind, shape))


def test_the_tensors_come_from_the_file(save: SaveModel) -> None:
    facts = inspect(save())
    assert facts.inputs == (TensorSpec("x", "FP32", ("batch", 4)),)
    assert facts.outputs == (TensorSpec("y", "FP32", ("batch", 4)),)
    assert facts.files == ("model.onnx",)
    assert facts.origin["opset"] == "ai.onnx 17"
    assert facts.origin["producer"] == "tests 1"
    assert facts.origin["onnx"] == onnx.__version__


@pytest.mark.parametrize(
    ("kind", "datatype"),
    [
        (TensorProto.BOOL, "BOOL"),
        (TensorProto.UINT8, "UINT8"),
        (TensorProto.UINT16, "UINT16"),
        (TensorProto.UINT32, "UINT32"),
        (TensorProto.UINT64, "UINT64"),
        (TensorProto.INT8, "INT8"),
        (TensorProto.INT16, "INT16"),
        (TensorProto.INT32, "INT32"),
        (TensorProto.INT64, "INT64"),
        (TensorProto.FLOAT16, "FP16"),
        (TensorProto.FLOAT, "FP32"),
        (TensorProto.DOUBLE, "FP64"),
        (TensorProto.BFLOAT16, "BF16"),
        (TensorProto.STRING, "BYTES"),
    ],
)
def test_every_datatype_has_its_name_in_the_protocol(save: SaveModel, kind: int, datatype: str) -> None:
    path = save(
        [helper.make_node("Identity", ["x"], ["y"])], [value("x", kind, [3])], [value("y", kind, [3])]
    )
    assert inspect(path).inputs == (TensorSpec("x", datatype, (3,)),)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT8E5M2, TensorProto.FLOAT8E4M3FN])
def test_a_datatype_that_no_request_can_carry_is_refused(save: SaveModel, kind: int) -> None:
    path = save(
        [helper.make_node("Identity", ["x"], ["y"])],
        [value("x", kind, [3])],
        [value("y", kind, [3])],
        opset=21,
        ir_version=10,
    )
    with pytest.raises(InvalidArtifactError, match=r"input `x` of `model.onnx` is a `tensor"):
        inspect(path)


def test_a_complex_tensor_is_refused(save: SaveModel) -> None:
    kind = TensorProto.COMPLEX64
    path = save(
        [helper.make_node("Identity", ["x"], ["y"])], [value("x", kind, [3])], [value("y", kind, [3])]
    )
    with pytest.raises(InvalidArtifactError, match=r"model\.onnx"):
        inspect(path)


def test_open_sizes_without_a_name_get_one_each(save: SaveModel) -> None:
    path = save(
        [helper.make_node("Identity", ["x"], ["y"])],
        [value("x", TensorProto.FLOAT, [None, "rows", -1, 3])],
        [value("y", TensorProto.FLOAT, [None, "rows", None, 3])],
    )
    facts = inspect(path)
    assert facts.inputs[0].shape == ("?0", "rows", "?1", 3)
    assert facts.inputs[0].wire_shape == [-1, -1, -1, 3]
    assert facts.outputs[0].shape[1::2] == ("rows", 3)


def test_weights_listed_as_inputs_are_not_asked_of_a_request(save: SaveModel) -> None:
    path = save(
        [helper.make_node("Mul", ["x", "scale"], ["y"])],
        [value("x", TensorProto.FLOAT, ["batch", 4]), value("scale", TensorProto.FLOAT, [4])],
        None,
        [numpy_helper.from_array(np.ones(4, np.float32), "scale")],
        ir_version=3,
        opset=8,
    )
    assert [spec.name for spec in inspect(path).inputs] == ["x"]


def test_a_sequence_is_no_tensor(save: SaveModel) -> None:
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, [4]))
    path = save(
        [helper.make_node("ConcatFromSequence", ["x"], ["y"], axis=0)],
        [helper.make_value_info("x", sequence)],
        [value("y", TensorProto.FLOAT, ["n"])],
    )
    with pytest.raises(InvalidArtifactError, match=r"input `x` .* is a `seq\(tensor\(float\)\)`") as refusal:
        inspect(path)
    assert refusal.value.hint is not None
    assert "zipmap=False" in refusal.value.hint


def test_a_sequence_given_back_is_no_tensor_either(save: SaveModel) -> None:
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    path = save(
        [helper.make_node("SequenceConstruct", ["x"], ["y"])], None, [helper.make_value_info("y", sequence)]
    )
    with pytest.raises(InvalidArtifactError, match="output `y`"):
        inspect(path)


def test_an_input_of_any_rank_is_refused(save: SaveModel) -> None:
    path = save(
        [helper.make_node("Relu", ["x"], ["y"])],
        [value("x", TensorProto.FLOAT, None)],
        [value("y", TensorProto.FLOAT, None)],
    )
    with pytest.raises(InvalidArtifactError, match="says nothing about its shape"):
        inspect(path)


def test_a_model_that_takes_nothing_is_refused(save: SaveModel) -> None:
    path = save(
        [helper.make_node("Constant", [], ["y"], value_float=1.0)], [], [value("y", TensorProto.FLOAT, [])]
    )
    with pytest.raises(InvalidArtifactError, match="takes no input"):
        inspect(path)


# Not an ONNX file


def other_files() -> dict[str, tuple[bytes, str]]:
    whole = helper.make_model(helper.make_graph([], "g", [], [])).SerializeToString()
    return {
        "empty": (b"", "it is empty"),
        "pickle": (pickle.dumps({"weights": [1.0]}), "Python pickle"),
        "old pickle": (pickle.dumps([1.0], protocol=2), "Python pickle"),
        "text": (b"# my model\nversion = 1\n", "it is a text"),
        "torch": (b"PK\x03\x04" + b"\0" * 40, "zip archive"),
        "keras": (b"\x89HDF\r\n\x1a\n" + b"\0" * 40, "HDF5"),
        "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        "noise": (bytes(range(255, 100, -1)), "not an ONNX file"),
        "no graph": (whole[:2], "no graph"),
    }


@pytest.mark.parametrize("kind", sorted(other_files()))
def test_a_file_that_is_not_onnx_is_refused_with_what_it_is(tmp_path: Path, kind: str) -> None:
    """Law 12: nothing that could execute code when it is loaded gets in."""
    data, said = other_files()[kind]
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(InvalidArtifactError, match=said) as refusal:
        inspect(tmp_path / "model.onnx")
    assert refusal.value.hint is not None


def test_an_offered_pickle_is_never_executed(tmp_path: Path) -> None:
    """Law 12: no pickle."""
    opened = tmp_path / "opened"
    (tmp_path / "model.onnx").write_bytes(pickle.dumps(Trap(str(opened))))
    with pytest.raises(InvalidArtifactError, match="pickle"):
        inspect(tmp_path / "model.onnx")
    assert not opened.exists()


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self._path, "w"))


def test_a_file_cut_off_anywhere_is_refused(save: SaveModel) -> None:
    whole = save().read_bytes()
    path = save()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InvalidArtifactError):
            inspect(path)


def test_what_onnxruntime_cannot_load_is_refused_with_its_reason(
    save: SaveModel, capfd: pytest.CaptureFixture[str]
) -> None:
    path = save([helper.make_node("NoSuchOperator", ["x"], ["y"])])
    with pytest.raises(InvalidArtifactError, match=r"cannot load `model.onnx`: .*NoSuchOperator") as refusal:
        inspect(path)
    said = str(refusal.value)
    assert "\n" not in said
    assert str(path.parent) not in said
    assert capfd.readouterr() == ("", "")


def test_nothing_at_the_path_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        inspect(tmp_path / "nowhere")


# External data


def test_external_data_beside_the_graph_is_part_of_the_artifact(save_external: Callable[..., Path]) -> None:
    facts = inspect(save_external(data=WEIGHTS))
    assert facts.files == ("model.onnx", "weights.bin")
    assert facts.entry == "model.onnx"


OUTSIDE = ["/etc/passwd", "../weights.bin", "a/../../weights.bin", "", "..\\weights.bin", "C:\\weights.bin"]


@pytest.mark.parametrize("where", ["initializer", "constant", "branch", "function", "sparse", "training"])
@pytest.mark.parametrize("location", OUTSIDE)
def test_external_data_outside_the_folder_is_refused(
    save_external: Callable[..., Path], location: str, where: str
) -> None:
    """Law 12: external data is confined to the artifact's own folder."""
    folder = save_external(location, where=where, data=WEIGHTS)
    with pytest.raises(InvalidArtifactError, match="points outside"):
        inspect(folder)


def test_external_data_may_not_name_onnxruntimes_own_memory(save_external: Callable[..., Path]) -> None:
    """Law 12: the location that onnxruntime takes for an address is refused, even if a file is there."""
    location = "*/_ORT_MEM_ADDR_/*"
    folder = save_external(location, data=WEIGHTS, offset="0", length="16")
    (folder / "*" / "_ORT_MEM_ADDR_").mkdir(parents=True)
    (folder / location).write_bytes(WEIGHTS)
    with pytest.raises(InvalidArtifactError, match="points outside"):
        inspect(folder)


@pytest.mark.parametrize("where", ["initializer", "branch", "function"])
def test_missing_external_data_is_refused(save_external: Callable[..., Path], where: str) -> None:
    folder = save_external(where=where)
    (folder / "labels.txt").write_text("one\n")
    with pytest.raises(InvalidArtifactError, match=r"`weights.bin`.* is not in the folder"):
        inspect(folder)


@pytest.mark.parametrize(
    "facts", [{"offset": "4", "length": "16"}, {"offset": "-1"}, {"length": "x"}, {"length": "17"}]
)
def test_external_data_beyond_the_end_of_its_file_is_refused(
    save_external: Callable[..., Path], facts: dict[str, str]
) -> None:
    folder = save_external(data=WEIGHTS, **facts)
    with pytest.raises(InvalidArtifactError, match="beyond the 16 bytes"):
        inspect(folder)


def test_a_graph_published_without_its_data_is_refused(save_external: Callable[..., Path]) -> None:
    folder = save_external(data=WEIGHTS)
    with pytest.raises(InvalidArtifactError, match=r"in another file, `weights.bin`") as refusal:
        inspect(folder / "model.onnx")
    assert refusal.value.hint == "Publish the folder that holds both files."


def test_a_link_in_the_folder_is_refused(save_external: Callable[..., Path], tmp_path: Path) -> None:
    """Law 12: a link would bring in bytes from outside the folder."""
    (tmp_path / "secret").write_bytes(WEIGHTS)
    folder = save_external()
    (folder / "weights.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidArtifactError, match=r"`weights.bin` is a symbolic link"):
        inspect(folder)


def test_a_linked_folder_in_the_folder_is_refused(save_external: Callable[..., Path], tmp_path: Path) -> None:
    """Law 12: the same, one level up."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "weights.bin").write_bytes(WEIGHTS)
    folder = save_external("data/weights.bin")
    (folder / "data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidArtifactError, match="symbolic link"):
        inspect(folder)


def test_a_pipe_in_the_folder_is_refused(save_external: Callable[..., Path]) -> None:
    folder = save_external(data=WEIGHTS)
    os.mkfifo(folder / "pipe")
    with pytest.raises(InvalidArtifactError, match="neither a file nor a folder"):
        inspect(folder)


# Folders


def test_a_single_file_has_one_name_whatever_it_is_called(save: SaveModel) -> None:
    """Law 1: the same bytes are the same version, also as a renamed file."""
    assert find_source(save(name="digits-v1-final.onnx")).entry == "model.onnx"


def test_a_path_that_the_caller_links_is_followed(save: SaveModel, tmp_path: Path) -> None:
    (tmp_path / "link.onnx").symlink_to(save(name="real.onnx"))
    assert inspect(tmp_path / "link.onnx").files == ("model.onnx",)


def test_the_only_onnx_file_of_a_folder_is_the_one_to_serve(save: SaveModel) -> None:
    folder = save(name="folder/onnx/digits.onnx").parent.parent
    (folder / "labels.txt").write_text("zero\none\n")
    facts = inspect(folder)
    assert facts.entry == "onnx/digits.onnx"
    assert facts.files == ("labels.txt", "onnx/digits.onnx")


def test_of_several_onnx_files_one_must_have_the_known_name(save: SaveModel) -> None:
    folder = save(name="folder/first.onnx").parent
    save(name="folder/second.onnx")
    with pytest.raises(InvalidArtifactError, match=r"holds 2 ONNX files: first.onnx, second.onnx"):
        inspect(folder)
    save(name="folder/model.onnx")
    assert inspect(folder).entry == "model.onnx"


def test_a_folder_without_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(InvalidArtifactError, match=r"no `.onnx` file"):
        inspect(tmp_path)


def test_a_hidden_file_is_refused_not_published_by_accident(save: SaveModel) -> None:
    folder = save(name="folder/model.onnx").parent
    (folder / ".env").write_text("SECRET=1")
    with pytest.raises(InvalidArtifactError, match=r"`.env` is hidden"):
        inspect(folder)


def zipped_pickle(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("scaler.pkl", lambda path: path.write_bytes(b"")),
        ("scaler.bin", lambda path: path.write_bytes(pickle.dumps({"a": 1}))),
        ("checkpoint.dat", zipped_pickle),
    ],
)
def test_a_pickle_beside_the_graph_is_refused(
    save: SaveModel, name: str, write: Callable[[Path], object]
) -> None:
    """Law 12: no pickle, not even as a passenger."""
    folder = save(name="folder/model.onnx").parent
    write(folder / name)
    with pytest.raises(InvalidArtifactError, match=f"`{name}` is or holds a Python pickle"):
        inspect(folder)


def test_weights_that_begin_like_a_pickle_are_weights(save_external: Callable[..., Path]) -> None:
    assert inspect(save_external(data=b"\x80\x04\x95" + WEIGHTS[3:])).entry == "model.onnx"


# Pipelines: several graphs in one artifact


def step(takes: str, gives: str, *, kind: int = TensorProto.FLOAT, to: int | None = None) -> bytes:
    """A graph that passes rows of four on under another name, as another type if wanted."""
    node = helper.make_node("Cast", [takes], [gives], to=to or kind)
    graph = helper.make_graph(
        [node],
        "step",
        [helper.make_tensor_value_info(takes, kind, ["batch", 4])],
        [helper.make_tensor_value_info(gives, to or kind, ["batch", 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def pipeline(folder: Path, steps: Iterable[str] = ("a.onnx", "b.onnx"), **files: bytes) -> Path:
    given = {"a": step("x", "y"), "b": step("y", "z"), **files}
    for name, data in given.items():
        (folder / f"{name}.onnx").write_bytes(data)
    (folder / "pipeline.json").write_text(json.dumps({"steps": list(steps)}))
    return folder


def test_a_pipeline_takes_what_its_first_step_does_and_gives_what_its_last_does(tmp_path: Path) -> None:
    facts = inspect(pipeline(tmp_path))
    assert facts.entry == "pipeline.json"
    assert facts.files == ("a.onnx", "b.onnx", "pipeline.json")
    assert [spec.name for spec in facts.inputs] == ["x"]
    assert [spec.name for spec in facts.outputs] == ["z"]


def test_a_pipeline_answers_as_one_model(tmp_path: Path) -> None:
    from model_store.artifact import find_source
    from model_store.onnx_file import open_model

    x = np.ones((2, 4), np.float32)
    (z,) = open_model(find_source(pipeline(tmp_path))).session.run(None, {"x": x})
    assert np.array_equal(z, x)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"steps": ["a.onnx", "c.onnx"]}, "names `c.onnx`, which is not in the folder"),
        ({"steps": ["a.onnx"]}, "`b.onnx` is in the folder and no step"),
        ({"steps": ["a.py"]}, "not an ONNX file"),
        ({"b": step("y", "x")}, "given by the caller and by `b.onnx` again"),
        ({"b": step("y", "z", kind=TensorProto.DOUBLE)}, "takes `y` as tensor.double., and what comes is"),
        ({"b": b"\x80\x04\x95 pickle"}, "`b.onnx` is not an ONNX file: it is a Python pickle"),
        ({"b": step("y", "z", to=TensorProto.COMPLEX64)}, "onnxruntime"),
    ],
)
def test_steps_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidArtifactError, match=says) as caught:
        inspect(pipeline(tmp_path, **change))
    assert caught.value.hint


def test_a_pickle_beside_the_steps_is_refused(tmp_path: Path) -> None:
    """Law 12."""
    pipeline(tmp_path)
    (tmp_path / "words.pkl").write_bytes(b"anything")
    with pytest.raises(InvalidArtifactError, match="pickle"):
        inspect(tmp_path)


def text_artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "text"
    folder.mkdir()
    for name, data in text_graphs.files().items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.usefixtures("text_operators")
def test_a_graph_with_text_operators_is_read_and_says_that_it_needs_them(
    save: SaveModel, tmp_path: Path
) -> None:
    facts = inspect(text_artifact(tmp_path))
    assert facts.inputs == (TensorSpec("text", "BYTES", (1,)),)
    assert [spec.name for spec in facts.outputs] == ["verdict"]
    assert facts.origin["operators"] == "ai.onnx.contrib"
    assert "operators" not in inspect(save()).origin


def test_without_the_library_a_graph_that_needs_it_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "find_library", lambda _: None)
    with pytest.raises(InvalidArtifactError, match=r"uses operators of `ai\.onnx\.contrib`") as refusal:
        inspect(text_artifact(tmp_path))
    assert "pip install onnxruntime-extensions" in (refusal.value.hint or "")


def picture_decoder() -> bytes:
    """A graph from the bytes of a JPEG or PNG to its pixels, which imports the tokenisers' set besides."""
    decode = helper.make_node("DecodeImage", ["file"], ["pixels"], domain="com.microsoft.extensions")
    graph = helper.make_graph(
        [decode],
        "graph",
        [value("file", TensorProto.UINT8, ["bytes"])],
        [value("pixels", TensorProto.UINT8, ["height", "width", 3])],
    )
    domains = ("", "ai.onnx.contrib", "com.microsoft.extensions")
    opsets = [helper.make_opsetid(domain, 1 if domain else 21) for domain in domains]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def test_a_decoder_that_a_caller_can_end_the_server_with_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(picture_decoder())
    with pytest.raises(InvalidArtifactError, match="ends the server when a caller sends something else"):
        inspect(path)


@pytest.mark.usefixtures("text_operators")
def test_the_library_s_decoder_really_ends_the_process(tmp_path: Path) -> None:
    """Why it is refused. When this fails, the library has learned better and the refusal can go."""
    (tmp_path / "model.onnx").write_bytes(picture_decoder())
    code = (
        "import sys, numpy as np, onnxruntime as ort\n"
        "options = ort.SessionOptions(); options.register_custom_ops_library(sys.argv[1])\n"
        "session = ort.InferenceSession(sys.argv[2], options, providers=['CPUExecutionProvider'])\n"
        "try:\n    session.run(None, {'file': np.frombuffer(b'BM' + bytes(100), np.uint8)})\n"
        "except Exception as error:\n    print('refused', error)\n"
        "print('still there')"
    )
    library = find_library(sys.path)
    assert library is not None
    command = [sys.executable, "-c", code, library, str(tmp_path / "model.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "Not a JPEG file" in done.stderr
    assert "still there" not in done.stdout


@pytest.mark.usefixtures("text_operators")
@pytest.mark.parametrize("operator", ["PyOp", "PyCustomOp", "ImageReader", "ReadFile"])
def test_the_library_has_no_operator_that_runs_python_or_reads_files(tmp_path: Path, operator: str) -> None:
    """Law 12: what a graph may ask of it computes, and nothing else."""
    node = helper.make_node(operator, ["x"], ["y"], domain="ai.onnx.contrib")
    strings = [value(name, TensorProto.STRING, [1]) for name in ("x", "y")]
    graph = helper.make_graph([node], "graph", strings[:1], strings[1:])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.contrib", 1)]
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    with pytest.raises(InvalidArtifactError, match="is not a registered function/op"):
        inspect(path)
