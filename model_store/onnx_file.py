"""Read an ONNX artifact without trusting it, and say what it takes and gives.

Law 12: nothing here executes code of the artifact. The protobuf is parsed without its external data;
every reference to a file is confined to the artifact's own folder before onnxruntime sees the model.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from onnxruntime.capi import onnxruntime_pybind11_state as _ort_errors

from model_store.bfloat16 import in_floats
from model_store.contract.errors import InvalidArtifactError
from model_store.contract.extensions import DOMAIN, FATAL_DOMAIN, OPERATORS, find_library
from model_store.contract.manifest import PICTURES
from model_store.contract.pictures import Pictures, PictureStep
from model_store.contract.pipeline import PIPELINE_FILE, Chain, Session, Step, read_steps, wire
from model_store.contract.tensors import Dimension, TensorSpec
from model_store.pickles import looks_like_pickle
from model_store.pictures import library
from model_store.place import local_files
from model_store.source import ENTRY, EXPORT, Source, must_not_carry_pickles

MAX_GRAPH_BYTES = 2**31 - 1
"""Largest protobuf message. Source: protobuf documentation, "Encoding", 2 GiB."""

RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(kind for kind in vars(_ort_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)
"""What onnxruntime raises: its own classes have no parent in common but ``Exception``."""

_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(bfloat16)": "BF16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}

# onnxruntime reads "external data" at this location as an address in its own memory.
_MEMORY_LOCATION = "_ORT_MEM_ADDR_"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What an ONNX artifact says about itself. ``origin`` holds opset, producer and the like.

    ``pictures`` are the steps that make tensors of files of pictures.
    """

    entry: str
    files: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    origin: dict[str, str]
    pictures: tuple[PictureStep, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model that onnxruntime has loaded, or a pipeline of several."""

    facts: ModelFacts
    session: Session


@dataclass(frozen=True, slots=True)
class _Graph:
    """One ONNX file of an artifact, checked and loaded."""

    path: str
    model: onnx.ModelProto
    session: onnxruntime.InferenceSession

    @property
    def step(self) -> Step:
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        return Step(self.path, tuple(node.name for node in inputs), tuple(node.name for node in outputs))


def open_model(source: Source) -> OpenModel:
    """Check ``source``, load it with onnxruntime, and read its tensors.

    Raises ``InvalidArtifactError`` for anything that cannot be served safely. Reads only; safe to repeat.
    """
    names, pictures = _steps(source) if source.entry == PIPELINE_FILE else ((source.entry,), ())
    models = {name: _parsed(source.paths[name]) for name in names}
    for name, model in models.items():
        _must_stay_inside(model, source, name)
        _must_survive_its_callers(model, name)
    _must_not_hold_pickles(source, models)
    graphs = [
        _Graph(name, model, _session(source.paths[name], extended=_is_extended(model)))
        for name, model in models.items()
    ]
    for graph in graphs:
        _must_take_and_give_tensors(graph.session, graph.model, PurePosixPath(graph.path).name)
    extended = any(_is_extended(graph.model) for graph in graphs)
    if extended and pictures:
        raise InvalidArtifactError(
            f"the steps read pictures and use operators of `{DOMAIN}`, and no runtime layer has both",
            hint="Publish two models, or let callers send bytes per pixel (UINT8).",
        )
    inputs, outputs = _followed(graphs, pictures)
    unnamed = itertools.count()
    facts = ModelFacts(
        entry=source.entry,
        files=tuple(source.paths),
        inputs=tuple(_spec(node, unnamed) for node in inputs),
        outputs=tuple(_spec(node, unnamed) for node in outputs),
        origin=_origin(_model_among(graphs), extended=extended, pictures=pictures),
        pictures=pictures,
    )
    session: Session = in_floats(graphs[0].session)
    if source.entry == PIPELINE_FILE:
        reading = library() if pictures else None
        steps: list[tuple[Step, Session]] = [
            (Step.of(picture), Pictures(picture, reading)) for picture in pictures if reading
        ]
        session = Chain([*steps, *((graph.step, in_floats(graph.session)) for graph in graphs)])
    return OpenModel(facts, session)


def _steps(source: Source) -> tuple[tuple[str, ...], tuple[PictureStep, ...]]:
    """The graphs of a pipeline, and the pictures before them."""
    with local_files(source.graph):
        found = read_steps(source.graph.read_bytes())
    steps = tuple(step for step in found if isinstance(step, str))
    for step in steps:
        if step not in source.paths:
            raise InvalidArtifactError(
                f"`{PIPELINE_FILE}` names `{step}`, which is not in the folder", hint="Put it there."
            )
    unused = [name for name in source.paths if name.endswith(".onnx") and name not in steps]
    if unused:
        raise InvalidArtifactError(
            f"`{unused[0]}` is in the folder and no step of `{PIPELINE_FILE}`",
            hint="Name it among the steps, or take it out: everything in the folder would be published.",
        )
    return steps, tuple(step for step in found if isinstance(step, PictureStep))


class _Edge(Protocol):
    """A tensor at the edge of a step: onnxruntime's ``NodeArg``, or ours where the step is no graph."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def shape(self) -> Sequence[object]: ...


class _Node(NamedTuple):
    name: str
    type: str
    shape: tuple[object, ...]


def _followed(graphs: Sequence[_Graph], pictures: Sequence[PictureStep]) -> tuple[list[_Edge], list[_Edge]]:
    """What the caller gives and gets; every tensor between two steps is of one type."""
    wiring = wire([*map(Step.of, pictures), *(graph.step for graph in graphs)])
    given: dict[str, _Edge] = {}
    asked: dict[str, _Edge] = {}
    for picture in pictures:
        first = _first_size(picture, graphs)
        asked.setdefault(picture.input, _Node(picture.input, "tensor(string)", (first,)))
        given[picture.output] = _Node(picture.output, "tensor(uint8)", (first, *picture.shape))
    for graph in graphs:
        for node in graph.session.get_inputs():
            source = given.get(node.name) or asked.setdefault(node.name, node)
            if source.type != node.type:
                raise InvalidArtifactError(
                    f"`{graph.path}` takes `{node.name}` as {node.type}, and what comes is {source.type}",
                    hint="Add a Cast to one of the graphs, or rename the tensor.",
                )
        given |= {node.name: node for node in graph.session.get_outputs()}
    if not wiring.inputs:
        raise InvalidArtifactError("the steps take nothing from a caller", hint="Check the tensors' names.")
    return [asked[name] for name in wiring.inputs], [given[name] for name in wiring.outputs]


def _first_size(picture: PictureStep, graphs: Sequence[_Graph]) -> object:
    """How many pictures the graph wants that takes them first; its shape has to be that of the step."""
    for graph in graphs:
        for node in graph.session.get_inputs():
            if node.name != picture.output:
                continue
            sizes = node.shape[1:]
            fits = len(node.shape) == 4 and all(
                not isinstance(size, int) or size in (made, -1)
                for size, made in zip(sizes, picture.shape, strict=True)
            )
            if not fits:
                raise InvalidArtifactError(
                    f"`{graph.path}` takes `{node.name}` with shape {node.shape}, and its picture step makes "
                    f"{['n', *picture.shape]}",
                    hint="Give the step the `size`, `mode` and `layout` that the graph takes.",
                )
            size: object = node.shape[0]
            return size
    raise InvalidArtifactError(
        f"no graph takes `{picture.output}`, which the picture step of `{picture.input}` makes",
        hint="Let the step give the tensor that a graph takes.",
    )


def _model_among(graphs: Sequence[_Graph]) -> onnx.ModelProto:
    """The step whose origin is told: ``model.onnx``, or the largest."""
    for graph in graphs:
        if PurePosixPath(graph.path).name == ENTRY:
            return graph.model
    return max(graphs, key=lambda graph: graph.model.ByteSize()).model


def reason(error: Exception) -> str:
    """onnxruntime's own words in one line, without its prefix and this machine's paths."""
    words = " ".join(str(error).split()).rsplit("[ONNXRuntimeError] : ", 1)[-1]
    shown = [Path(word).name if word.startswith("/") else word for word in words.split(" ")]
    line = " ".join(shown)
    return f"{line[:300]}…" if len(line) > 300 else line


def _parsed(path: Path) -> onnx.ModelProto:
    with local_files(path):
        size = path.stat().st_size
        if size > MAX_GRAPH_BYTES:
            raise InvalidArtifactError(
                f"`{path.name}` is larger than 2 GiB, the most an ONNX graph can be",
                hint="Save the weights as external data beside the graph and publish the folder.",
            )
        data = path.read_bytes()
    _must_not_be_something_else(data[:512], path)
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise InvalidArtifactError(
            f"`{path.name}` is not an ONNX file, or it is cut off: {error}", hint=EXPORT
        ) from error
    if not model.HasField("graph") or not model.opset_import or model.ir_version < 1:
        raise InvalidArtifactError(f"`{path.name}` is not a whole ONNX file: it has no graph", hint=EXPORT)
    return model


def _must_not_be_something_else(head: bytes, path: Path) -> None:
    kind = None
    if not head:
        kind = "it is empty"
    elif looks_like_pickle(head):
        kind = "it is a Python pickle, and those execute code when they are loaded"
    elif head.startswith(b"PK\x03\x04"):
        kind = "it is a zip archive (a torch checkpoint, perhaps)"
    elif head.startswith(b"\x89HDF"):
        kind = "it is an HDF5 file (Keras, perhaps)"
    elif head.startswith(b"version https://git-lfs"):
        kind = "it is a Git LFS pointer; run `git lfs pull`"
    elif _is_text(head):
        kind = "it is a text"
    if kind:
        raise InvalidArtifactError(f"`{path.name}` is not an ONNX file: {kind}", hint=EXPORT)


def _is_text(head: bytes) -> bool:
    # An ONNX file begins with field numbers, which are control characters to a reader of text.
    return all(byte > 31 or byte in b"\t\n\f\r" for byte in head)


def _must_stay_inside(model: onnx.ModelProto, source: Source, graph: str) -> None:
    """Refuse external data that is not a file of this artifact, or reaches beyond that file's end."""
    folder = PurePosixPath(graph).parent
    for tensor in _external(model):
        facts = {entry.key: entry.value for entry in tensor.external_data}
        location = facts.get("location", "")
        if len(source.paths) == 1:
            raise InvalidArtifactError(
                f"`{source.paths[graph].name}` keeps tensor `{tensor.name}` in another file, `{location}`",
                hint="Publish the folder that holds both files.",
            )
        name = _inside(folder, location, tensor.name)
        if name not in source.paths:
            raise InvalidArtifactError(
                f"`{location}`, the external data of tensor `{tensor.name}`, is not in the folder",
                hint="Put the data file beside the graph and publish the folder.",
            )
        _must_reach(facts, source.paths[name].stat().st_size, tensor.name, location)


def _inside(folder: PurePosixPath, location: str, tensor: str) -> str:
    path = PurePosixPath(location)
    leaves = path.is_absolute() or ".." in path.parts or "\\" in location or ":" in location
    if not location or leaves or "\0" in location or _MEMORY_LOCATION in location:
        raise InvalidArtifactError(
            f"external data of tensor `{tensor}` points outside the artifact's folder: `{location}`",
            hint="Save the model again with its external data beside the graph.",
        )
    return str(folder / path)


def _must_reach(facts: dict[str, str], size: int, tensor: str, location: str) -> None:
    try:
        offset, length = int(facts.get("offset") or 0), int(facts.get("length") or 0)
    except ValueError:
        offset = -1
    if offset < 0 or length < 0 or offset + length > size:
        raise InvalidArtifactError(
            f"external data of tensor `{tensor}` lies beyond the {size} bytes of `{location}`",
            hint="The file is cut off, or belongs to another model: export both again.",
        )


def _external(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            yield tensor


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of the model: also those in branches, loops, functions and training graphs."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)
        yield from _attribute_tensors(function.attribute_proto)
    for training in model.training_info:
        yield from _graph_tensors(training.initialization)
        yield from _graph_tensors(training.algorithm)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from _sparse_tensors(graph.sparse_initializer)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        yield from _attribute_tensors(node.attribute)


def _attribute_tensors(attributes: Iterable[onnx.AttributeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in attributes:
        yield attribute.t
        yield from attribute.tensors
        yield from _sparse_tensors([attribute.sparse_tensor, *attribute.sparse_tensors])
        for graph in (attribute.g, *attribute.graphs):
            yield from _graph_tensors(graph)


def _sparse_tensors(tensors: Iterable[onnx.SparseTensorProto]) -> Iterator[onnx.TensorProto]:
    for tensor in tensors:
        yield tensor.values
        yield tensor.indices


def _must_not_hold_pickles(source: Source, models: Mapping[str, onnx.ModelProto]) -> None:
    """Law 12, for the files that travel along. Weights may begin with any byte, so they are let be."""
    weights = {
        str(PurePosixPath(graph).parent / entry.value)
        for graph, model in models.items()
        for tensor in _external(model)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    must_not_carry_pickles(source, sparing=frozenset(weights) | frozenset(models))


def _is_extended(model: onnx.ModelProto) -> bool:
    """Whether a graph uses operators of onnxruntime-extensions, also where a function hides them."""
    return DOMAIN in _operator_sets(model)


def _operator_sets(model: onnx.ModelProto) -> set[str]:
    opsets = itertools.chain(model.opset_import, *(function.opset_import for function in model.functions))
    return {entry.domain for entry in opsets}


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node, also those within functions and within the branches and loops of others."""
    waiting = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                waiting.extend(graph.node)


def _must_survive_its_callers(model: onnx.ModelProto, name: str) -> None:
    """The library's decoder of pictures ends the whole process on bytes that are no picture."""
    if any(node.domain == FATAL_DOMAIN for node in _nodes(model)):
        raise InvalidArtifactError(
            f"`{PurePosixPath(name).name}` uses `{FATAL_DOMAIN}`, whose decoder of pictures "
            "ends the server when a caller sends something else",
            hint="Read files by a picture step of `pipeline.json`, or let callers send bytes per pixel.",
        )


def _session(graph: Path, *, extended: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised; nothing is to be printed besides
    if extended:
        options.register_custom_ops_library(_extensions(graph))
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        raise InvalidArtifactError(
            f"onnxruntime {onnxruntime.__version__} cannot load `{graph.name}`: {reason(error)}",
            hint="Export with an opset and operators that this onnxruntime knows.",
        ) from error


def _extensions(graph: Path) -> str:
    library = find_library(sys.path)
    if library is None:
        raise InvalidArtifactError(
            f"`{graph.name}` uses operators of `{DOMAIN}`, and onnxruntime-extensions is not installed here",
            hint="Run `pip install onnxruntime-extensions` in the version of layers/runtime-text.in.",
        )
    return library


def _must_take_and_give_tensors(
    session: onnxruntime.InferenceSession, model: onnx.ModelProto, name: str
) -> None:
    if not session.get_inputs() or not session.get_outputs():
        raise InvalidArtifactError(
            f"`{name}` takes no input or gives no output", hint="Export a graph that computes something."
        )
    for side, nodes in (("input", session.get_inputs()), ("output", session.get_outputs())):
        for node in nodes:
            if node.type not in _DATATYPES:
                raise InvalidArtifactError(
                    f"{side} `{node.name}` of `{name}` is a `{node.type}`, which no request can carry",
                    hint="Export with tensors of common types (scikit-learn: `zipmap=False`).",
                )
    shaped = {value.name for value in model.graph.input if value.type.tensor_type.HasField("shape")}
    for node in session.get_inputs():
        if node.name not in shaped:
            raise InvalidArtifactError(
                f"input `{node.name}` of `{name}` says nothing about its shape",
                hint="Export with the number of dimensions fixed; their sizes may stay open.",
            )


def _spec(node: _Edge, unnamed: Iterator[int]) -> TensorSpec:
    return TensorSpec(
        node.name, _DATATYPES[node.type], tuple(_dimension(size, unnamed) for size in node.shape)
    )


def _dimension(size: object, unnamed: Iterator[int]) -> Dimension:
    """A size; or the name of an open one, made up (``?0``) where the exporter gave none or a -1."""
    if isinstance(size, str) and size:
        return size
    if isinstance(size, int) and size >= 0:
        return size
    return f"?{next(unnamed)}"


def _origin(model: onnx.ModelProto, *, extended: bool, pictures: Sequence[PictureStep]) -> dict[str, str]:
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    facts = {
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "ir_version": str(model.ir_version),
        "opset": ", ".join(f"{domain} {number}" for domain, number in sorted(opsets.items())),
        OPERATORS: DOMAIN if extended else "",
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
    }
    # By this a server knows which inputs are files, so it is not cut.
    named = {PICTURES: ", ".join(sorted({step.input for step in pictures}))} if pictures else {}
    return {key: value[:200] for key, value in facts.items() if value} | named
