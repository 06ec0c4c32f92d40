"""``model_store.torch_archive``: what is in a torch archive, told without torch.

The archives are put together by hand in the layouts that torch 2.13 writes; a test marked ``train`` holds
them against torch itself.
"""

import io
import os
import pickle
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest

from model_store.artifact import find_source
from model_store.contract.errors import InvalidArtifactError
from model_store.torch_archive import kind_of

EMPTY = pickle.dumps(OrderedDict(), 2)
CLASS = b"\x80\x02c__torch__.torch.nn.modules.linear\nLinear\n)\x81."
TENSOR = b"\x80\x02(ctorch._utils\n_rebuild_tensor_v2\nctorch\nFloatStorage\nt."
MODULE = b"\x80\x02c__main__\nNet\n)\x81."

SCRIPT = {
    "ts/data.pkl": CLASS,
    "ts/data/0": b"\x80\x04\x95 bare weights may look like anything",
    "ts/code/__torch__.py": b"class Net(Module): ...",
    "ts/code/__torch__.py.debug_pkl": b"\x80\x02ctorch.jit._pickle\nbuild_intlist\n.",
    "ts/constants.pkl": b"\x80\x02).",
    "ts/version": b"3\n",
}
WEIGHTS = {"sd/data.pkl": TENSOR, "sd/data/0": b"\0" * 8, "sd/version": b"3\n"}
WHOLE = {**WEIGHTS, "sd/data.pkl": MODULE}


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


EXPORT = {
    "e/archive_format": b"pt2",
    "e/models/model.json": b"{}",
    "e/data/weights/weight_0": b"\0" * 8,
    "e/data/sample_inputs/model.pt": packed({"archive/data.pkl": TENSOR, "archive/version": b"3\n"}),
}
OLD_EXPORT = {
    "serialized_exported_program.json": b"{}",
    "serialized_state_dict.pt": packed(WEIGHTS),
    "version": b"1",
}


def save(folder: Path, members: dict[str, bytes], name: str = "model.pt") -> Path:
    path = folder / name
    path.write_bytes(packed(members))
    return path


@pytest.mark.parametrize(
    ("members", "kind"), [(SCRIPT, "torchscript"), (EXPORT, "torch-export"), (OLD_EXPORT, "torch-export")]
)
def test_programs_of_torch_are_told_apart(tmp_path: Path, members: dict[str, bytes], kind: str) -> None:
    assert kind_of(save(tmp_path, members), allow_code=False) == (kind, {})


def test_a_program_is_published_knowingly_or_not_at_all(tmp_path: Path) -> None:
    """Law 12: TorchScript and torch.export archives by explicit choice."""
    path = save(tmp_path, SCRIPT)
    with pytest.raises(InvalidArtifactError, match="a TorchScript archive, which is a program") as refused:
        find_source(path)
    assert "--kind torchscript" in str(refused.value.hint)
    assert find_source(path, kind="torchscript").kind == "torchscript"
    with pytest.raises(InvalidArtifactError, match="is torchscript and was called torch-export"):
        find_source(path, kind="torch-export")


def test_a_pickled_module_is_refused_by_the_names_it_imports(tmp_path: Path) -> None:
    """Law 12: no pickle."""
    with pytest.raises(
        InvalidArtifactError, match=r"executes code when it is loaded: it imports `__main__\.Net`"
    ):
        kind_of(save(tmp_path, WHOLE), allow_code=False)


def test_code_that_is_allowed_is_written_down(tmp_path: Path) -> None:
    """Law 12: by explicit choice, and never unseen."""
    assert kind_of(save(tmp_path, WHOLE), allow_code=True) == (
        "torch-pickle",
        {"pickled_code": "__main__.Net"},
    )


@pytest.mark.parametrize(
    "where", ["ts/data.pkl", "ts/constants.pkl", "ts/code/__torch__.py.debug_pkl", "ts/extra/hidden"]
)
def test_code_anywhere_in_a_script_archive_is_found(tmp_path: Path, where: str) -> None:
    """Law 12: a program of torch that smuggles a pickle is a pickle."""
    evil = pickle.dumps(os.system, 4)
    with pytest.raises(InvalidArtifactError, match="executes code"):
        kind_of(save(tmp_path, {**SCRIPT, where: evil}), allow_code=False)


def test_code_in_the_sample_inputs_of_an_export_is_found(tmp_path: Path) -> None:
    inner = packed({"archive/data.pkl": MODULE, "archive/version": b"3\n"})
    with pytest.raises(InvalidArtifactError, match="executes code"):
        kind_of(save(tmp_path, {**EXPORT, "e/data/sample_inputs/model.pt": inner}), allow_code=False)


def test_an_archive_in_an_archive_in_an_archive_is_refused(tmp_path: Path) -> None:
    inner = packed({"archive/data.pkl": TENSOR, "archive/deeper.pt": packed(WEIGHTS)})
    with pytest.raises(InvalidArtifactError, match="archives in archives"):
        kind_of(save(tmp_path, {**EXPORT, "e/data/sample_inputs/model.pt": inner}), allow_code=False)


def test_bare_weights_are_no_program(tmp_path: Path) -> None:
    with pytest.raises(InvalidArtifactError, match="holds pickled weights and no program") as refused:
        kind_of(save(tmp_path, WEIGHTS), allow_code=False)
    assert "safetensors" in str(refused.value.hint)


@pytest.mark.parametrize("allow_code", [True, False])
def test_a_pickle_in_torch_s_old_format_is_refused(tmp_path: Path, allow_code: bool) -> None:
    (tmp_path / "model.pt").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.")
    with pytest.raises(InvalidArtifactError, match="Python pickle in torch's old format"):
        kind_of(tmp_path / "model.pt", allow_code=allow_code)


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04 and no more", packed({"a/b": b""})])
def test_what_is_no_torch_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(data)
    with pytest.raises(InvalidArtifactError, match=r"`model\.pt`") as refused:
        kind_of(tmp_path / "model.pt", allow_code=True)
    assert refused.value.hint


@pytest.mark.train
def test_what_torch_itself_writes_is_told_as_it_is(tmp_path: Path) -> None:
    import torch

    model = torch.nn.Linear(4, 3).eval()
    example = (torch.ones(1, 4),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(model).save(tmp_path / "script.pt")  # type: ignore[no-untyped-call]
        torch.jit.trace(model, example).save(tmp_path / "trace.pt")  # type: ignore[no-untyped-call]
        torch.export.save(torch.export.export(model, example), tmp_path / "export.pt2")
    torch.save(model, tmp_path / "whole.pt")
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    assert kind_of(tmp_path / "script.pt", allow_code=False)[0] == "torchscript"
    assert kind_of(tmp_path / "trace.pt", allow_code=False)[0] == "torchscript"
    assert kind_of(tmp_path / "export.pt2", allow_code=False)[0] == "torch-export"
    kind, facts = kind_of(tmp_path / "whole.pt", allow_code=True)
    assert kind == "torch-pickle"
    assert "torch.nn.modules.linear.Linear" in facts["pickled_code"]
    with pytest.raises(InvalidArtifactError, match="no program"):
        kind_of(tmp_path / "weights.pt", allow_code=False)
