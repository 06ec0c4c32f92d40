"""Read the program of a torch.export archive without torch: what it takes and gives, and that it is one.

torch trusts this JSON further than a program needs. It looks operators up by their dotted names below
``torch``, evaluates sizes as Python (through sympy) and its guards as Python: an archive could name
``torch.os.system``. So every name, size and guard is read here, and what is more than an operator, an
arithmetic expression or a comparison is refused (law 12).

Source of the layout: torch 2.13, ``torch/_export/serde/schema.py``.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from model_store.contract.errors import InvalidArtifactError
from model_store.contract.tensors import DATATYPES, Dimension, TensorSpec

_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|higher_order|quantized|quantized_decomposed|torchvision)"
    r"\.(?P<name>[a-z_]\w*)(\.\w+)?|"
    r"torch\.(sym_\w+|_sym_\w+)|math\.[a-z0-9_]+|"
    r"_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|and_|or_|not_|getitem|eq|ne|lt|le|gt|ge|"
    r"lshift|rshift)",
    re.ASCII,
)
_REACHES_OUT = frozenset({"from_file", "save", "load", "print", "warn", "open"})
"""Operators of aten that touch more than tensors."""

_SYMBOL = re.compile(r"Symbol\('(?P<name>[A-Za-z_]\w{0,60})'(, \w+=True)*\)", re.ASCII)

_SIZES: tuple[type[ast.AST], ...] = (
    *(ast.Expression, ast.Call, ast.Name, ast.Load, ast.keyword, ast.Constant),
    *(ast.UnaryOp, ast.USub, ast.UAdd, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv),
    *(ast.Mod, ast.Pow),
)
_GUARDS: tuple[type[ast.AST], ...] = (
    *_SIZES,
    *(ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.BoolOp, ast.And, ast.Or),
    *(ast.Not, ast.Attribute, ast.Subscript, ast.List, ast.Tuple, ast.Is, ast.IsNot),
)
_GUARD_METHODS = frozenset({"size", "stride", "storage_offset", "dim", "numel"})
_GUARD_NAMES = frozenset({"L", "Eq", "Ne", "Mod", "max", "min", "int"})
_SIZE_NAME = re.compile(r"[A-Z][A-Za-z]*|true|false|oo|int_oo|s\d+|u\d+|zuf\d+", re.ASCII)
_EVALUATED = ("expr_str",)

_SCALARS = {
    1: "UINT8", 2: "INT8", 3: "INT16", 4: "INT32", 5: "INT64", 6: "FP16", 7: "FP32", 8: "FP64", 12: "BOOL",
    28: "UINT16", 34: "UINT32", 35: "UINT64",
}  # fmt: skip

_AGAIN = "Save it again with `torch.export.save`."


def read_program(data: bytes, name: str) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """The tensors that a program takes and gives. Outputs without names of their own are numbered.

    Raises ``InvalidArtifactError`` for what is more or less than a program of tensors.
    """
    try:
        program = json.loads(data)
        must_only_compute(program, name)
        graph = program["graph_module"]["graph"]
        signature = program["graph_module"]["signature"]
        inputs = tuple(_inputs(graph, signature["input_specs"], name))
        outputs = tuple(_outputs(graph, program["graph_module"], name))
    except InvalidArtifactError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise InvalidArtifactError(
            f"`{name}` holds a program that cannot be read: {type(error).__name__} {str(error)[:100]}",
            hint=_AGAIN,
        ) from error
    return inputs, outputs


def must_only_compute(program: Any, name: str) -> None:
    """Refuse a program that could reach anything but tensors."""
    for key, text in _strings(program):
        if key == "target" and not _is_operator(text):
            raise _reaches_out(name, f"calls `{text[:80]}`")
        if key in _EVALUATED and not _is_size(text):
            raise _reaches_out(name, f"evaluates `{text[:80]}` as a size")
    for guard in program.get("guards_code") or ():
        if not _is_guard(str(guard)):
            raise _reaches_out(name, f"evaluates `{str(guard)[:80]}` before it runs")


def _reaches_out(name: str, what: str) -> InvalidArtifactError:
    return InvalidArtifactError(
        f"`{name}` holds a program that {what}, which is more than arithmetic on tensors",
        hint="Export the model with operators of aten alone, or export it to ONNX.",
    )


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a document, with the name it stands under."""
    left: list[tuple[str, Any]] = [(key, value)]
    while left:
        key, value = left.pop()
        if isinstance(value, dict):
            left.extend(value.items())
        elif isinstance(value, list):
            left.extend((key, item) for item in value)
        elif isinstance(value, str):
            yield key, value


def _is_operator(target: str) -> bool:
    found = _OPERATOR.fullmatch(target)
    return found is not None and found["name"] not in _REACHES_OUT and "__" not in target


def _is_size(text: str) -> bool:
    """Whether sympy will find nothing but arithmetic in ``text``: names it knows, numbers and symbols."""
    return all(
        not isinstance(node, ast.Call) or isinstance(node.func, ast.Name) for node in _nodes(text, _SIZES)
    ) and all(
        _SIZE_NAME.fullmatch(node.id) is not None
        for node in _nodes(text, _SIZES)
        if isinstance(node, ast.Name)
    )


def _is_guard(text: str) -> bool:
    for node in _nodes(text, _GUARDS):
        if isinstance(node, ast.Name) and node.id not in _GUARD_NAMES:
            return False
        if isinstance(node, ast.Attribute) and node.attr not in _GUARD_METHODS:
            return False
    return True


def _nodes(text: str, allowed: tuple[type[ast.AST], ...]) -> list[ast.AST]:
    """The syntax of an expression; one node that says no if it holds anything that is not allowed."""
    no = ast.Name(id="no")
    if len(text) > 4096:
        return [no]
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [no]
    for node in nodes:
        if not isinstance(node, allowed):
            return [no]
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not node.value.isidentifier():
            return [no]
    return nodes


def _inputs(graph: Any, specs: Any, name: str) -> Iterator[TensorSpec]:
    for spec in specs:
        ((role, content),) = spec.items()
        if role == "user_input":
            argument = content["arg"].get("as_tensor")
            if argument is None:
                raise InvalidArtifactError(
                    f"`{name}` takes something else than tensors",
                    hint="Export it with every input a tensor.",
                )
            yield _spec(argument["name"], graph["tensor_values"][argument["name"]], name)


def _outputs(graph: Any, module: Any, name: str) -> Iterator[TensorSpec]:
    arguments = []
    for spec in module["signature"]["output_specs"]:
        ((role, content),) = spec.items()
        if role != "user_output":
            raise InvalidArtifactError(
                f"`{name}` holds a program that changes its own weights or inputs while it runs",
                hint="Export the model in evaluation mode; the same question gets the same answer here.",
            )
        arguments.append(content["arg"]["as_tensor"]["name"])
    for said, tensor in zip(_output_names(module, len(arguments)), arguments, strict=True):
        yield _spec(said, graph["tensor_values"][tensor], name)


def _output_names(module: Any, count: int) -> list[str]:
    """The keys of a dictionary that the model returns; else ``output``, or ``output_0`` and so on."""
    for call in module["module_call_graph"]:
        if call["fqn"] == "" and call["signature"]:
            tree = json.loads(call["signature"]["out_spec"])[1]
            if tree["type"] == "builtins.dict":
                keys = json.loads(tree["context"])
                if len(keys) == count and all(isinstance(key, str) for key in keys):
                    return list(keys)
    return ["output"] if count == 1 else [f"output_{number}" for number in range(count)]


def _spec(said: str, value: Any, name: str) -> TensorSpec:
    datatype = _SCALARS.get(value["dtype"], "")
    if datatype not in DATATYPES:
        raise InvalidArtifactError(
            f"tensor `{said}` of `{name}` has a datatype that no request carries",
            hint="Export the model with inputs and outputs in FP32, FP16 or whole numbers.",
        )
    sizes = tuple(_size(size, said, at) for at, size in enumerate(value["sizes"]))
    return TensorSpec(said, datatype, sizes)


def _size(size: Any, said: str, at: int) -> Dimension:
    if "as_int" in size:
        return int(size["as_int"])
    found = _SYMBOL.fullmatch(size["as_expr"]["expr_str"])
    return found["name"] if found else f"?{said}{at}"
