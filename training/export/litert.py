"""ONNX → LiteRT: the networks of this room as a file for phones and small boards.

A small converter for few operators, because none of the large ones can be installed beside this project
(docs/adr/0057). What it does not know it refuses by name; what it writes the interpreter holds to parity.

**Layout.** ONNX keeps pictures as channels, height, width; LiteRT as height, width, channels. A value stands
in the file in the form in which it was computed and is turned when somebody needs the other: a chain of
convolutions is turned once at each end. Weights are turned here.

**Rows.** The first dimension of every value is the caller's, and rows stay rows: a reshape that mixes them is
refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from training.errors import ExportError
from training.export.flatbuffer import Graph, Interpreted, Options
from training.export.parity import ForEdge, Session, compare

Array = NDArray[Any]
Code = schema.BuiltinOperator
Union = schema.BuiltinOptions
_TURNED = (0, 2, 3, 1)
_BACK = (0, 3, 1, 2)


def write_litert(model: Path, path: Path, samples: Mapping[str, Array], *, tolerance: float) -> ForEdge:
    """Write the ONNX file ``model`` as LiteRT to ``path``, once the interpreter answers ``samples`` alike.

    The same model gives the same bytes. Raises ``ExportError`` for what cannot be written or answers
    otherwise, and leaves nothing at ``path`` then.
    """
    path.unlink(missing_ok=True)
    data, operators = converted(onnx.load(model))
    served = Session(model)
    parity = compare(
        lambda inputs: list(served(inputs).values()),
        Interpreted(data),
        samples,
        tolerance=tolerance,
        what="the LiteRT file",
    )
    path.write_bytes(data)
    return ForEdge(len(data), operators, parity)


def converted(model: onnx.ModelProto) -> tuple[bytes, dict[str, int]]:
    """The LiteRT file for ``model``, and its operators. Raises ``ExportError`` for what it does not know."""
    unknown = sorted({_named(node) for node in model.graph.node} - _WRITES.keys() - {"Constant"})
    if unknown:
        raise ExportError(
            f"LiteRT files of this room have no {' and no '.join(f'`{name}`' for name in unknown)}",
            hint="Leave `export.litert` out, or use a network of layers, convolutions and pooling "
            "(docs/training.md#litert).",
        )
    return _Conversion(onnx.shape_inference.infer_shapes(model).graph).result()


@dataclass(slots=True)
class _Value:
    """Something that is computed: the shape of a row as ONNX says it, and the tensors that hold it."""

    shape: tuple[int, ...]
    plain: int | None = None
    turned: int | None = None


class _Node:
    """A node with its attributes, by name."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self.kind = _named(node)
        self.inputs: tuple[str, ...] = tuple(node.input)
        self.output: str = node.output[0]
        self._said = {one.name: helper.get_attribute_value(one) for one in node.attribute}

    def get(self, name: str, otherwise: Any) -> Any:
        said = self._said.get(name, otherwise)
        return said.decode() if isinstance(said, bytes) else said

    def refuse(self, why: str, hint: str) -> ExportError:
        return ExportError(f"LiteRT: `{self.kind}` that gives `{self.output}` {why}", hint=hint)

    def must(self, name: str, *allowed: Any) -> None:
        """Raise unless the attribute is one of ``allowed``; the first is what holds where nothing is said."""
        if (said := self.get(name, allowed[0])) not in allowed:
            raise self.refuse(
                f"has `{name}` {said}",
                f"Use {' or '.join(str(one) for one in allowed)}, or leave LiteRT out.",
            )


class _Conversion:
    """One graph on its way: what is constant, what has been computed, what has been written."""

    def __init__(self, source: onnx.GraphProto) -> None:
        self.graph = Graph()
        self.source = source
        self.constants = {one.name: numpy_helper.to_array(one) for one in source.initializer}
        self.values: dict[str, _Value] = {}
        self.shapes = {
            one.name: one.type.tensor_type.shape.dim
            for one in (*source.input, *source.value_info, *source.output)
        }

    def result(self) -> tuple[bytes, dict[str, int]]:
        taken = self._taken()
        for node in self.source.node:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            else:
                one = _Node(node)
                _WRITES[one.kind](self, one)
        given = {one.name: self.plain(one.name) for one in self.source.output}
        return self.graph.written(taken, given), self.graph.counted()

    def _taken(self) -> tuple[str, int]:
        taken = [one for one in self.source.input if one.name not in self.constants]
        if len(taken) != 1 or taken[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            raise ExportError(
                "LiteRT files of this room take one input of FP32, and "
                + ", ".join(f"`{one.name}`" for one in taken)
                + (" is another kind" if len(taken) == 1 else " are more"),
                hint="Leave `export.litert` out.",
            )
        shape = self._row(taken[0].name)
        if shape is None:
            raise ExportError(
                f"`{taken[0].name}` has no stated shape but for its rows, and LiteRT needs one",
                hint="Export the model with an open batch and nothing else open.",
            )
        tensor = self.graph.rows(taken[0].name, shape)
        self.values[taken[0].name] = _Value(shape, plain=tensor)
        return taken[0].name, tensor

    def _row(self, name: str) -> tuple[int, ...] | None:
        """The shape of a row of ``name``, where it has rows and nothing else is open."""
        dims = self.shapes.get(name)
        if not dims or dims[0].HasField("dim_value") or not all(one.dim_value for one in dims[1:]):
            return None
        return tuple(one.dim_value for one in dims[1:])

    # What nodes are given

    def value(self, node: _Node, place: int = 0, *, rank: int | None = None) -> _Value:
        """What input ``place`` of ``node`` holds; refused if not computed, or of another ``rank``."""
        found = self.values.get(node.inputs[place])
        if found is None:
            raise node.refuse("is given a constant alone", "Compute it before the export.")
        if rank is not None and len(found.shape) + 1 != rank:
            raise node.refuse(
                f"is given {len(found.shape) + 1} dimensions, and {rank} are known here",
                "Leave `export.litert` out.",
            )
        return found

    def constant(self, node: _Node, place: int, otherwise: Array | None = None) -> Array:
        """The constant at input ``place``; refused if it is computed."""
        name = node.inputs[place] if place < len(node.inputs) else ""
        if not name and otherwise is not None:
            return otherwise
        if name not in self.constants:
            raise node.refuse(
                f"has `{name}` computed where a constant is known", "Leave `export.litert` out."
            )
        return self.constants[name]

    def plain(self, name: str) -> int:
        """The tensor that holds ``name`` as ONNX does; turned back if there is none yet."""
        value = self.values[name]
        if value.plain is None:
            assert value.turned is not None
            value.plain = self._turn(name, value.turned, _BACK, value.shape)
        return value.plain

    def turned(self, name: str) -> int:
        """The tensor that holds pictures ``name`` with their channels last."""
        value = self.values[name]
        if value.turned is None:
            assert value.plain is not None
            value.turned = self._turn(name + "/turned", value.plain, _TURNED, _channels_last(value.shape))
        return value.turned

    def _turn(self, name: str, tensor: int, order: Sequence[int], shape: tuple[int, ...]) -> int:
        way = self.graph.constant(name + "/order", np.array(order, np.int32))
        out = self.graph.rows(name, shape)
        return self.graph.operator(
            Code.TRANSPOSE, (tensor, way), out, (Union.TransposeOptions, schema.TransposeOptionsT())
        )

    # What nodes give

    def put(
        self,
        node: _Node,
        code: int,
        inputs: Sequence[int],
        shape: tuple[int, ...],
        options: Options | None,
        *,
        kind: str = "float32",
    ) -> None:
        """Write an operator whose output is held as ONNX holds it."""
        out = self.graph.rows(node.output, shape, kind)
        self.values[node.output] = _Value(shape, plain=self.graph.operator(code, inputs, out, options))

    def put_turned(
        self, node: _Node, code: int, inputs: Sequence[int], shape: tuple[int, ...], options: Options | None
    ) -> None:
        """Write an operator whose output has its channels last; ``shape`` is ONNX's."""
        out = self.graph.rows(node.output + "/turned", _channels_last(shape))
        self.values[node.output] = _Value(shape, turned=self.graph.operator(code, inputs, out, options))

    def put_like(
        self, node: _Node, code: int, value: _Value, inputs: Sequence[int], options: Options | None
    ) -> None:
        """Write an operator that works in either form, in that which its input has."""
        put = self.put if value.plain is not None else self.put_turned
        put(node, code, inputs, value.shape, options)

    def weights(self, node: _Node, name: str, value: Array) -> int:
        """A constant of ``node``, in FP32 as everything here."""
        return self.graph.constant(f"{node.output}/{name}", value.astype(np.float32))


# One function for each kind of node


def _same(self: _Conversion, node: _Node) -> None:
    self.values[node.output] = self.value(node)


def _each(code: int) -> Callable[[_Conversion, _Node], None]:
    def write(self: _Conversion, node: _Node) -> None:
        value = self.value(node)
        held = value.plain if value.plain is not None else value.turned
        assert held is not None
        self.put_like(node, code, value, (held,), None)

    return write


def _both(code: int, union: int, options: type[Any]) -> Callable[[_Conversion, _Node], None]:
    def write(self: _Conversion, node: _Node) -> None:
        one, other = node.inputs
        computed = [name for name in (one, other) if name in self.values]
        if len(computed) == 2:
            _of_equal_shape(self, node)
            as_turned = all(self.values[name].plain is None for name in computed)
            inputs = [self.turned(name) if as_turned else self.plain(name) for name in computed]
        else:
            value = self.value(node, 0 if one in self.values else 1)
            held = value.plain if value.plain is not None else value.turned
            assert held is not None
            fixed = self.weights(node, "constant", _beside(self, node, value))
            inputs = [held, fixed] if one in self.values else [fixed, held]
        self.put_like(node, code, self.values[computed[0]], inputs, (union, options()))

    return write


def _of_equal_shape(self: _Conversion, node: _Node) -> None:
    one, other = (self.value(node, place).shape for place in (0, 1))
    if one != other:
        raise node.refuse(f"is given rows of {list(one)} and {list(other)}", "Leave `export.litert` out.")


def _beside(self: _Conversion, node: _Node, value: _Value) -> Array:
    """The constant of a node of two inputs, as it meets ``value`` in the form that it has."""
    fixed = self.constant(node, 1 if node.inputs[0] in self.values else 0)
    rank = len(value.shape) + 1
    whole = fixed.reshape((1,) * (rank - fixed.ndim) + fixed.shape) if fixed.ndim <= rank else fixed
    fits = whole.ndim == rank and all(
        have in (1, want) for have, want in zip(whole.shape, (1, *value.shape), strict=True)
    )
    if not fits:
        raise node.refuse(
            f"has a constant of {list(fixed.shape)} beside rows of {list(value.shape)}",
            "Leave `export.litert` out.",
        )
    return whole.transpose(_TURNED) if value.plain is None else whole


def _layer(self: _Conversion, node: _Node) -> None:
    """``Gemm`` and ``MatMul``: a fully connected layer, whose weights are one row for each output here."""
    node.must("transA", 0)
    value = self.value(node, rank=2)
    weights = self.constant(node, 1) * np.float32(node.get("alpha", 1.0))
    if weights.ndim != 2:
        raise node.refuse(f"has weights of {list(weights.shape)}", "Leave `export.litert` out.")
    rows = weights if node.get("transB", 0) else weights.T
    inputs = [self.plain(node.inputs[0]), self.weights(node, "weights", rows), -1]
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = self.constant(node, 2) * np.float32(node.get("beta", 1.0))
        inputs[2] = self.weights(node, "bias", np.broadcast_to(bias, (1, len(rows)))[0])
    options = (Union.FullyConnectedOptions, schema.FullyConnectedOptionsT())
    self.put(node, Code.FULLY_CONNECTED, inputs, (len(rows),), options)
    assert value.shape == (rows.shape[1],)


def _normalised(self: _Conversion, node: _Node) -> None:
    """``BatchNormalization`` as it is after training: a factor and a summand for each channel."""
    node.must("training_mode", 0)
    value = self.value(node)
    if len(value.shape) not in (1, 3):
        raise node.refuse(f"is given rows of {list(value.shape)}", "Leave `export.litert` out.")
    scale, shift, mean, variance = (self.constant(node, place).astype(np.float64) for place in range(1, 5))
    factor = scale / np.sqrt(variance + node.get("epsilon", 1e-5))
    pictures = len(value.shape) == 3
    held = self.turned(node.inputs[0]) if pictures else self.plain(node.inputs[0])
    shape = _channels_last(value.shape) if pictures else value.shape
    scaled = self.graph.operator(
        Code.MUL,
        (held, self.weights(node, "factor", factor)),
        self.graph.rows(node.output + "/scaled", shape),
        (Union.MulOptions, schema.MulOptionsT()),
    )
    put = self.put_turned if pictures else self.put
    summand = self.weights(node, "summand", shift - mean * factor)
    put(node, Code.ADD, (scaled, summand), value.shape, (Union.AddOptions, schema.AddOptionsT()))


@dataclass(frozen=True, slots=True)
class _Window:
    """How a kernel moves over a picture; every pair is height and width."""

    size: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]

    def given(self, taken: tuple[int, int]) -> tuple[int, int]:
        height, width = (
            (taken[at] + self.before[at] + self.after[at] - self._reach(at)) // self.strides[at] + 1
            for at in (0, 1)
        )
        return height, width

    def padding(self, taken: tuple[int, int]) -> int | None:
        """Which of LiteRT's two paddings is this one on pictures of ``taken``; neither: ``None``."""
        if not any((*self.before, *self.after)):
            return int(schema.Padding.VALID)
        for at in (0, 1):
            steps = -(-taken[at] // self.strides[at])
            wanted = max((steps - 1) * self.strides[at] + self._reach(at) - taken[at], 0)
            if (self.before[at], self.after[at]) != (wanted // 2, wanted - wanted // 2):
                return None
        return int(schema.Padding.SAME)

    def _reach(self, at: int) -> int:
        return (self.size[at] - 1) * self.dilations[at] + 1


def _window(node: _Node, size: Sequence[int]) -> _Window:
    node.must("auto_pad", "NOTSET", "VALID")
    node.must("ceil_mode", 0)
    top, left, bottom, right = node.get("pads", (0, 0, 0, 0))
    return _Window(
        (size[0], size[1]),
        tuple(node.get("strides", (1, 1))),
        tuple(node.get("dilations", (1, 1))),
        (top, left),
        (bottom, right),
    )


def _convolution(self: _Conversion, node: _Node) -> None:
    value = self.value(node, rank=4)
    weights = self.constant(node, 1)
    channels, height, width = value.shape
    window = _window(node, weights.shape[2:])
    group = node.get("group", 1)
    if group not in (1, channels):
        raise node.refuse(
            f"has {group} groups of {channels} channels", f"Use 1 group or {channels}, or leave LiteRT out."
        )
    bias = self.constant(node, 2, np.zeros(len(weights), np.float32))
    held, padding = self.turned(node.inputs[0]), window.padding((height, width))
    if padding is None:
        held, padding = _padded(self, node, held, value.shape, window), schema.Padding.VALID
    said = {
        "padding": padding,
        "strideH": window.strides[0],
        "strideW": window.strides[1],
        "dilationHFactor": window.dilations[0],
        "dilationWFactor": window.dilations[1],
    }
    options: Options
    if group == 1:
        code, order = Code.CONV_2D, (0, 2, 3, 1)
        options = (Union.Conv2DOptions, schema.Conv2DOptionsT(**said))
    else:
        code, order = Code.DEPTHWISE_CONV_2D, (1, 2, 3, 0)
        times = len(weights) // channels
        options = (
            Union.DepthwiseConv2DOptions,
            schema.DepthwiseConv2DOptionsT(**said, depthMultiplier=times),
        )
    inputs = (held, self.weights(node, "weights", weights.transpose(order)), self.weights(node, "bias", bias))
    self.put_turned(node, code, inputs, (len(weights), *window.given((height, width))), options)


def _padded(self: _Conversion, node: _Node, held: int, shape: tuple[int, ...], window: _Window) -> int:
    channels, height, width = shape
    (top, left), (bottom, right) = window.before, window.after
    around = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    out = self.graph.rows(node.output + "/padded", (height + top + bottom, width + left + right, channels))
    inputs = (held, self.graph.constant(node.output + "/around", around))
    return self.graph.operator(Code.PAD, inputs, out, (Union.PadOptions, schema.PadOptionsT()))


def _pooled(code: int) -> Callable[[_Conversion, _Node], None]:
    def write(self: _Conversion, node: _Node) -> None:
        node.must("dilations", [1, 1])
        channels, height, width = self.value(node, rank=4).shape
        window = _window(node, node.get("kernel_shape", ()))
        padding = window.padding((height, width))
        counts = code == Code.AVERAGE_POOL_2D and node.get("count_include_pad", 0)
        if padding is None or (padding == schema.Padding.SAME and counts):
            raise node.refuse(
                f"has `pads` {[*window.before, *window.after]}, and LiteRT pads another way",
                "Pool without padding, or leave LiteRT out.",
            )
        options = schema.Pool2DOptionsT(
            padding=padding,
            strideH=window.strides[0],
            strideW=window.strides[1],
            filterHeight=window.size[0],
            filterWidth=window.size[1],
        )
        shape = (channels, *window.given((height, width)))
        held = self.turned(node.inputs[0])
        self.put_turned(node, code, (held,), shape, (Union.Pool2DOptions, options))

    return write


def _mean(self: _Conversion, node: _Node) -> None:
    """``GlobalAveragePool``, and ``ReduceMean`` where it is the same."""
    channels, *_ = self.value(node, rank=4).shape
    if node.kind == "ReduceMean":
        axes = self.constant(node, 1) if len(node.inputs) > 1 else np.array(node.get("axes", ()))
        if sorted(int(axis) % 4 for axis in axes) != [2, 3] or not node.get("keepdims", 1):
            raise node.refuse(
                f"is over the dimensions {axes.tolist()}",
                "Take the mean of whole pictures, or leave LiteRT out.",
            )
    inputs = (
        self.turned(node.inputs[0]),
        self.graph.constant(node.output + "/axes", np.array([1, 2], np.int32)),
    )
    options = (Union.ReducerOptions, schema.ReducerOptionsT(keepDims=True))
    self.put_turned(node, Code.MEAN, inputs, (channels, 1, 1), options)


def _reshaped(self: _Conversion, node: _Node) -> None:
    """``Reshape``, ``Flatten``, ``Squeeze`` and ``Unsqueeze``: the same rows in another shape."""
    value, shape = self.value(node), self._row(node.output)
    if shape is None or prod(shape) != prod(value.shape):
        raise node.refuse("does not keep rows as rows of a known shape", "Reshape within a row only.")
    options = (Union.ReshapeOptions, schema.ReshapeOptionsT(newShape=[-1, *shape]))
    wanted = self.graph.constant(node.output + "/shape", np.array([-1, *shape], np.int32))
    self.put(node, Code.RESHAPE, (self.plain(node.inputs[0]), wanted), shape, options)


def _softmax(self: _Conversion, node: _Node) -> None:
    value = self.value(node, rank=2)
    node.must("axis", -1, 1)
    options = (Union.SoftmaxOptions, schema.SoftmaxOptionsT(beta=1.0))
    self.put(node, Code.SOFTMAX, (self.plain(node.inputs[0]),), value.shape, options)


def _largest(self: _Conversion, node: _Node) -> None:
    self.value(node, rank=2)
    if node.get("axis", 0) not in (1, -1) or node.get("keepdims", 1) or node.get("select_last_index", 0):
        raise node.refuse("is not the first largest of each row", "Leave `export.litert` out.")
    options = (Union.ArgMaxOptions, schema.ArgMaxOptionsT(outputType=schema.TensorType.INT64))
    inputs = (self.plain(node.inputs[0]), self.graph.constant(node.output + "/axis", np.array([1], np.int32)))
    self.put(node, Code.ARG_MAX, inputs, (), options, kind="int64")


_WRITES: dict[str, Callable[[_Conversion, _Node], None]] = {
    "Add": _both(Code.ADD, Union.AddOptions, schema.AddOptionsT),
    "ArgMax": _largest,
    "AveragePool": _pooled(Code.AVERAGE_POOL_2D),
    "BatchNormalization": _normalised,
    "Conv": _convolution,
    "Div": _both(Code.DIV, Union.DivOptions, schema.DivOptionsT),
    "Flatten": _reshaped,
    "Gemm": _layer,
    "GlobalAveragePool": _mean,
    "Identity": _same,
    "MatMul": _layer,
    "MaxPool": _pooled(Code.MAX_POOL_2D),
    "Mul": _both(Code.MUL, Union.MulOptions, schema.MulOptionsT),
    "ReduceMean": _mean,
    "Relu": _each(Code.RELU),
    "Reshape": _reshaped,
    "Sigmoid": _each(Code.LOGISTIC),
    "Softmax": _softmax,
    "Squeeze": _reshaped,
    "Sub": _both(Code.SUB, Union.SubOptions, schema.SubOptionsT),
    "Tanh": _each(Code.TANH),
    "Unsqueeze": _reshaped,
}
OPERATORS = tuple(_WRITES)
"""What a graph may be made of."""


def _channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[1:], shape[0])


def _named(node: onnx.NodeProto) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else str(node.op_type)
