"""The LiteRT file: a FlatBuffer of the schema that comes with the interpreter, and that interpreter.

Nothing here knows ONNX. Tensors of unknown batch are written as one row, and their ``shape_signature`` says
that the number of rows is the caller's, as Google's own converter does it. The schema is
``tflite/schema/schema.fbs``, version 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

Array = NDArray[Any]
Options = tuple[int, Any]
"""Which member of the schema's union ``BuiltinOptions``, and its object."""

SIGNATURE = "serving_default"
"""The name that TensorFlow gives to a model's only signature, and that callers of the interpreter ask for."""

_IDENTIFIER = b"TFL3"
_ALIGNED = 16
_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
}
_NAMES = {number: name for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


class _Weights(schema.BufferT):  # type: ignore[misc]
    """A buffer on the boundary that the schema asks for, ``force_align: 16``; its Python writer does not."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802  # the schema's own word
        raw = self.data.tobytes()
        builder.StartVector(1, len(raw), _ALIGNED)
        builder.head -= len(raw)
        builder.Bytes[builder.head : builder.head + len(raw)] = raw
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


@dataclass(slots=True)
class Graph:
    """One subgraph as it is written down: tensors, operators, and what stands in the constants."""

    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    """The first is empty by the schema's rule: what computes to a tensor points there."""
    operators: list[Any] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    def rows(self, name: str, shape: Sequence[int], kind: str = "float32") -> int:
        """A tensor of as many rows as the caller sends, each of ``shape``."""
        tensor = self._tensor(name, (1, *shape), kind)
        tensor.shapeSignature = [-1, *shape]
        return len(self.tensors) - 1

    def constant(self, name: str, value: Array) -> int:
        """A tensor that is always ``value``."""
        tensor = self._tensor(name, value.shape, value.dtype.name)
        tensor.buffer = len(self.buffers)
        self.buffers.append(_Weights(np.ascontiguousarray(value)))
        return len(self.tensors) - 1

    def operator(self, code: int, inputs: Sequence[int], output: int, options: Options | None = None) -> int:
        """Compute ``output`` from ``inputs`` (-1: none there) and return it."""
        if code not in self.codes:
            self.codes.append(code)
        kind, values = options or (schema.BuiltinOptions.NONE, None)
        self.operators.append(
            schema.OperatorT(
                opcodeIndex=self.codes.index(code),
                inputs=list(inputs),
                outputs=[output],
                builtinOptionsType=kind,
                builtinOptions=values,
            )
        )
        return output

    def counted(self) -> dict[str, int]:
        """How many operators of each kind there are, most frequent first."""
        found = [_NAMES[self.codes[one.opcodeIndex]] for one in self.operators]
        return {
            name: found.count(name) for name in sorted(set(found), key=lambda one: (-found.count(one), one))
        }

    def written(self, taken: tuple[str, int], given: Mapping[str, int]) -> bytes:
        """The file; ``taken`` names the input, ``given`` the outputs. Equal graphs give equal bytes."""
        inputs, outputs = dict([taken]), dict(given)
        signature = schema.SignatureDefT(
            inputs=[schema.TensorMapT(name, tensor) for name, tensor in inputs.items()],
            outputs=[schema.TensorMapT(name, tensor) for name, tensor in outputs.items()],
            signatureKey=SIGNATURE,
            subgraphIndex=0,
        )
        subgraph = schema.SubGraphT(
            tensors=self.tensors,
            inputs=list(inputs.values()),
            outputs=list(outputs.values()),
            operators=self.operators,
            name="main",
        )
        model = schema.ModelT(
            version=3,
            operatorCodes=[
                schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code, version=1)
                for code in self.codes
            ],
            subgraphs=[subgraph],
            description="switchyard",
            buffers=self.buffers,
            signatureDefs=[signature],
        )
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
        return bytes(builder.Output())

    def _tensor(self, name: str, shape: Sequence[int], kind: str) -> Any:
        tensor = schema.TensorT(shape=list(shape), type=_TYPES[kind], buffer=0, name=name, hasRank=True)
        self.tensors.append(tensor)
        return tensor


class Interpreted:
    """The file as a device runs it: the interpreter, one input, every output by name.

    Its own kernels; with ``delegated`` those of XNNPACK, which phones use and which say so on stderr.
    """

    def __init__(self, model: bytes, *, delegated: bool = False) -> None:
        kernels = OpResolverType.AUTO if delegated else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=kernels)
        said = interpreter.get_signature_list()[SIGNATURE]
        (self.input,) = said["inputs"]
        self.outputs: tuple[str, ...] = tuple(said["outputs"])
        self._run = interpreter.get_signature_runner(SIGNATURE)

    def __call__(self, inputs: Array) -> dict[str, Array]:
        given = self._run(**{self.input: inputs})
        return {name: given[name] for name in self.outputs}
