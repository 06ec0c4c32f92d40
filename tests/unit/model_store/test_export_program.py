"""``model_store.export_program``: what a program of torch.export is read as, and what it must not reach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model_store.artifact import examine, find_source
from model_store.contract.digest import Digest
from model_store.contract.errors import InvalidArtifactError
from model_store.contract.tensors import TensorSpec
from model_store.export_program import read_program

from .test_torch_archive import EXPORT, save

SYMBOL = {"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)", "hint": {"as_int": 2}}}


def value(*sizes: Any, dtype: int = 7) -> dict[str, Any]:
    return {"dtype": dtype, "sizes": [{"as_int": size} if isinstance(size, int) else size for size in sizes]}


def named(tensor: str) -> dict[str, Any]:
    return {"arg": {"as_tensor": {"name": tensor}}}


def program(**changed: Any) -> dict[str, Any]:
    """A linear layer as torch 2.13 writes it, without what nobody reads."""
    tree = {"type": "builtins.dict", "context": '["scores"]', "children_spec": [{"type": None}]}
    return {
        "graph_module": {
            "graph": {
                "nodes": [{"target": "torch.ops.aten.linear.default", "metadata": {"stack_trace": "net.py"}}],
                "tensor_values": {"w": value(3, 4), "x": value(SYMBOL, 4), "linear": value(SYMBOL, 3)},
            },
            "signature": {
                "input_specs": [
                    {"parameter": {"arg": {"name": "w"}, "parameter_name": "weight"}},
                    {"user_input": named("x")},
                ],
                "output_specs": [{"user_output": named("linear")}],
            },
            "module_call_graph": [{"fqn": "", "signature": {"out_spec": json.dumps([1, tree])}}],
        },
        "guards_code": ["2 <= L['x'].size()[0] and L['x'].size()[0] <= 9"],
        **changed,
    }


def read(document: Any) -> Any:
    return read_program(json.dumps(document).encode(), "net.pt2")


def test_a_program_says_what_it_takes_and_gives_and_which_sizes_are_the_caller_s() -> None:
    inputs, outputs = read(program())
    assert inputs == (TensorSpec("x", "FP32", ("s77", 4)),)
    assert outputs == (TensorSpec("scores", "FP32", ("s77", 3)),)


def test_outputs_without_names_are_numbered() -> None:
    document = program()
    document["graph_module"]["module_call_graph"] = []
    assert read(document)[1][0].name == "output"


@pytest.mark.parametrize(
    "target",
    [
        *("torch.os.system", "torch.hub.load", "torch.ops.load_library", "torch.ops.aten.from_file.default"),
        *("torch.ops.aten.__class__", "math.__loader__", "_operator.methodcaller", "os.system", "#mine.f"),
        "torch.ops.aten.add.Tensor\n",
    ],
)
def test_a_name_that_reaches_beyond_tensors_is_refused(target: str) -> None:
    """Law 12: torch looks such names up below ``torch`` and calls what it finds."""
    document = program()
    document["graph_module"]["graph"]["nodes"].append({"target": target})
    with pytest.raises(InvalidArtifactError, match="more than arithmetic on tensors"):
        read(document)


@pytest.mark.parametrize(
    "size",
    ["__import__('os').system('x')", "Symbol('s0').__class__", "(lambda: 1)()", "[x for x in y]", "a" * 5000],
)
def test_a_size_that_is_python_is_refused(size: str) -> None:
    """Law 12: sympy evaluates sizes as Python."""
    document = program()
    evil = {"as_expr": {"expr_str": size, "hint": None}}
    document["graph_module"]["graph"]["tensor_values"]["x"] = value(evil, 4)
    with pytest.raises(InvalidArtifactError, match="as a size"):
        read(document)


@pytest.mark.parametrize("guard", ["__import__('os')", "L['x'].__class__", "eval('1')", "print(L)"])
def test_a_guard_that_is_more_than_a_comparison_is_refused(guard: str) -> None:
    """Law 12: torch evaluates guards as Python."""
    with pytest.raises(InvalidArtifactError, match="before it runs"):
        read(program(guards_code=[guard]))


def test_a_program_that_remembers_is_refused() -> None:
    document = program()
    document["graph_module"]["signature"]["output_specs"] = [{"buffer_mutation": named("w")}]
    with pytest.raises(InvalidArtifactError, match="changes its own weights"):
        read(document)


@pytest.mark.parametrize("document", [{}, [], {"graph_module": {"graph": {}}}, 7])
def test_what_is_no_program_is_refused_in_one_sentence(document: Any) -> None:
    with pytest.raises(InvalidArtifactError, match="cannot be read") as refused:
        read(document)
    assert refused.value.hint


def test_a_sample_names_the_outputs_and_must_fit_the_program(tmp_path: Path) -> None:
    model = json.dumps(program()).encode()
    path = save(tmp_path, {**EXPORT, "e/models/model.json": model}, "net.pt2")
    sample = tmp_path / "sample.json"

    def examined(width: int) -> Any:
        given = [
            {"name": "image", "datatype": "FP32", "shape": [1, width], "data": [1.0] * width},
        ]
        answer = [{"name": "digit", "datatype": "FP32", "shape": [1, 3], "data": [1.0, 2.0, 3.0]}]
        sample.write_text(json.dumps({"inputs": given, "outputs": answer}))
        return examine(find_source(path, kind="torch-export"), Digest.of(b""), sample)

    found = examined(4)
    assert found.inputs == (TensorSpec("image", "FP32", ("s77", 4)),)
    assert found.outputs == (TensorSpec("digit", "FP32", ("s77", 3)),)
    with pytest.raises(InvalidArtifactError, match="not the program's: `x` FP32"):
        examined(5)


@pytest.mark.train
def test_what_torch_exports_is_read_as_torch_means_it(tmp_path: Path) -> None:
    import torch

    from tests.networks import Patient, exported

    path = tmp_path / "patient.pt2"
    torch.export.save(exported(Patient()), path)
    found = examine(find_source(path, kind="torch-export"), Digest.of(b""), None)
    assert [spec.name for spec in found.inputs] == ["turns", "index"]
    assert [spec.name for spec in found.outputs] == ["value"]
    first = {spec.shape[0] for spec in (*found.inputs, *found.outputs)}
    assert len(first) == 1
    assert isinstance(first.pop(), str)
