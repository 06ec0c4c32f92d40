"""Make the golden sample: run the model once at publish, and write down what it was given and gave.

Every release of the version must reproduce it (``model_store.contract.golden.differences``), so a
sample is refused here that could not be carried by a request or would not come out the same twice.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model_store.contract.digest import Digest
from model_store.contract.errors import InvalidArtifactError
from model_store.contract.golden import differences
from model_store.contract.manifest import Golden
from model_store.contract.pictures import PictureStep
from model_store.contract.tensors import FLOATS, HALVES, Dimension, TensorData, TensorSpec
from model_store.onnx_file import RUNTIME_ERRORS, OpenModel, reason
from model_store.pictures import SUFFIXES, drawn, written
from model_store.place import local_files

MAX_SAMPLE_BYTES = 4 * 1024 * 1024
"""Largest golden sample, inputs and outputs each, as JSON: a release sends it through one invocation
(6 MB with its envelope), and a cold start reads it."""

Array = NDArray[Any]

NUMPY: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "BF16": np.float32,  # rounded where the model takes it (`model_store.bfloat16`)
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
"""What a datatype of the protocol is in numpy."""

_HALF_TOLERANCE = (1e-2, 1e-3)
"""rtol and atol for half precision, which has two or three decimal digits."""

# Sizes for the open dimensions of a generated sample, tried in turn: (first dimension, every other).
_SIZES = ((2, 8), (2, 1), (2, 32), (1, 8), (1, 1), (1, 32), (1, 224))
_MAX_GENERATED_VALUES = 400_000
_DATATYPE_OF = {kind: datatype for datatype, kind in NUMPY.items() if datatype != "BF16"}
_GIVE_BOTH = (
    'Write `{"inputs": […], "outputs": […]}` with what the model gives for these inputs: this kind of '
    "artifact cannot be run at publish."
)
_GIVE_A_SAMPLE = "Give inputs that the model accepts with `--sample FILE` (a V2 request or an .npz)."


def make_golden(model: OpenModel, digest: Digest, sample: Path | None) -> Golden:
    """Run ``model`` on ``sample``, or on generated inputs that follow from ``digest`` alone.

    Raises ``InvalidArtifactError`` when the sample does not fit the model, when the model fails or
    gives NaN or infinity on it, and when it gives something else the second time.
    """
    steps = {step.input: step for step in model.facts.pictures}
    if sample is not None:
        inputs = read_sample(sample, model.facts.inputs, pictures=frozenset(steps))
        return _run(model, inputs)
    refusals: list[InvalidArtifactError] = []
    for inputs in _generated(model.facts.inputs, digest):
        try:
            return _run(model, tuple(_with_pictures(tensor, steps, digest) for tensor in inputs))
        except InvalidArtifactError as error:
            refusals.append(error)
    if not refusals:
        raise InvalidArtifactError(
            "the model's inputs are too large for a generated sample", hint=_GIVE_A_SAMPLE
        )
    raise InvalidArtifactError(f"no generated sample fits the model: {refusals[0]}", hint=_GIVE_A_SAMPLE)


def given_golden(path: Path) -> tuple[Golden, tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Read a golden sample that somebody else made: a V2 request in JSON that holds ``outputs`` too.

    It is for the kinds that cannot be run here, so the file is believed; the tensors it describes are what
    the version takes and gives, in exactly these shapes, or in those that a tensor's parameter
    ``symbolic_shape`` says as the protocol's metadata do (``"n,64"``). Raises ``InvalidArtifactError`` if it
    lacks either side or could not be sent by a release.
    """
    given = {side: _read_request(path, side) for side in ("inputs", "outputs")}
    document = json.loads(path.read_bytes())
    shapes = {side: _said_shapes(document[side], path.name) for side in given}
    tensors: dict[str, tuple[TensorData, ...]] = {}
    specs: dict[str, tuple[TensorSpec, ...]] = {}
    for side, arrays in given.items():
        if not arrays:
            raise InvalidArtifactError(f"`{path.name}` holds no {side}", hint=_GIVE_BOTH)
        specs[side] = tuple(
            TensorSpec(name, _DATATYPE_OF[array.dtype.type], shapes[side][name])
            for name, array in arrays.items()
        )
        tensors[side] = tuple(
            _tensor(spec.name, spec.datatype, _fitting(arrays[spec.name], spec)) for spec in specs[side]
        )
        _must_be_small(tensors[side], side)
    half = any(spec.datatype in HALVES for spec in (*specs["inputs"], *specs["outputs"]))
    tolerance = _HALF_TOLERANCE if half else ()
    golden = Golden(tensors["inputs"], tensors["outputs"], *tolerance)
    return golden, specs["inputs"], specs["outputs"]


def must_fit(given: Sequence[TensorSpec], said: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """What a program says of its tensors, under the names that the sample has for them, in its order.

    Inputs and outputs are told apart by name where the names are the program's, else by their order.
    """
    by_name = {spec.name: spec for spec in said}
    same = {spec.name for spec in given} == set(by_name)
    ordered = [by_name[spec.name] for spec in given] if same else list(said)
    fits = len(given) == len(ordered) and all(
        one.datatype == other.datatype
        and len(one.shape) == len(other.shape)
        and all(isinstance(b, str) or a == b for a, b in zip(one.shape, other.shape, strict=True))
        for one, other in zip(given, ordered, strict=True)
    )
    if not fits:
        wanted = ", ".join(f"`{spec.name}` {spec.datatype} {list(spec.shape)}" for spec in said)
        raise InvalidArtifactError(
            f"the sample's tensors are not the program's: {wanted}",
            hint="Write the sample in the program's datatypes, shapes and order.",
        )
    return tuple(
        TensorSpec(one.name, other.datatype, other.shape) for one, other in zip(given, ordered, strict=True)
    )


def _said_shapes(tensors: Sequence[Mapping[str, Any]], name: str) -> dict[str, tuple[Dimension, ...]]:
    """The shape of every tensor, with names for the sizes that a request may choose."""
    shapes: dict[str, tuple[Dimension, ...]] = {}
    for tensor in tensors:
        shape = tuple(int(size) for size in tensor["shape"])
        said = (tensor.get("parameters") or {}).get("symbolic_shape")
        if said is None:
            shapes[str(tensor["name"])] = shape
            continue
        words = str(said).split(",")
        fits = len(words) == len(shape) and all(
            word.isidentifier() or word == str(size) for word, size in zip(words, shape, strict=True)
        )
        if not fits:
            raise InvalidArtifactError(
                f"`{name}` calls the shape {list(shape)} of `{tensor['name']}` {str(said)[:80]!r}",
                hint='Write one name or size per dimension, for example `"n,64"`.',
            )
        shapes[str(tensor["name"])] = tuple(
            word if word.isidentifier() else size for word, size in zip(words, shape, strict=True)
        )
    return shapes


def read_sample(
    path: Path, specs: Sequence[TensorSpec], *, pictures: frozenset[str] = frozenset()
) -> tuple[TensorData, ...]:
    """Read a sample file, a V2 request body in JSON or an ``.npz`` with one array per input.

    Where ``pictures`` name the only input, the file of a picture does too. Raises ``InvalidArtifactError``
    that names the input and what was expected of it.
    """
    if path.suffix.lower() in SUFFIXES and pictures == {spec.name for spec in specs}:
        given = {name: _picture(path) for name in pictures}
    else:
        given = read_npz(path) if path.suffix == ".npz" else _read_request(path)
    known = {spec.name for spec in specs}
    for name in given:
        if name not in known:
            raise InvalidArtifactError(
                f"`{path.name}` has an input `{name}`, which the model does not take",
                hint=f"Give the inputs {', '.join(f'`{spec.name}`' for spec in specs)}.",
            )
    inputs = []
    for spec in specs:
        if spec.name not in given:
            raise InvalidArtifactError(
                f"`{path.name}` has no input `{spec.name}`",
                hint=f"The model takes {spec.datatype} with shape {spec.wire_shape}: add it.",
            )
        inputs.append(_tensor(spec.name, spec.datatype, _fitting(given[spec.name], spec)))
    return tuple(inputs)


def _picture(path: Path) -> Array:
    with local_files(path):
        return np.array([written(path.read_bytes())], object)


def _with_pictures(tensor: TensorData, steps: Mapping[str, PictureStep], digest: Digest) -> TensorData:
    """``tensor``, or pictures in the place of texts where it is one of those."""
    if tensor.name not in steps:
        return tensor
    return replace(tensor, data=drawn(steps[tensor.name], digest, math.prod(tensor.shape)))


def observed(specs: Sequence[TensorSpec], tensors: Sequence[TensorData]) -> tuple[TensorSpec, ...]:
    """Correct what a graph declares of its outputs by what came out.

    Exporters may leave an output's rank open or declare a size that does not hold; onnxruntime only
    warns. A dimension that was seen to differ becomes an open one.
    """
    seen = {tensor.name: tensor.shape for tensor in tensors}
    return tuple(_observed(spec, seen[spec.name]) for spec in specs)


def _observed(spec: TensorSpec, shape: tuple[int, ...]) -> TensorSpec:
    if len(spec.shape) != len(shape):
        return TensorSpec(spec.name, spec.datatype, tuple(f"?{spec.name}{at}" for at in range(len(shape))))
    sizes = tuple(
        declared if isinstance(declared, str) or declared == size else f"?{spec.name}{at}"
        for at, (declared, size) in enumerate(zip(spec.shape, shape, strict=True))
    )
    return TensorSpec(spec.name, spec.datatype, sizes)


def _run(model: OpenModel, inputs: tuple[TensorData, ...]) -> Golden:
    _must_be_small(inputs, "inputs")
    feed = {tensor.name: _array(tensor) for tensor in inputs}
    outputs = _outputs(model, feed)
    _must_be_small(outputs, "outputs")
    half = any(tensor.datatype in HALVES for tensor in (*inputs, *outputs))
    golden = Golden(inputs, outputs, *_HALF_TOLERANCE) if half else Golden(inputs, outputs)
    changed = differences(golden, [tensor.as_json() for tensor in _outputs(model, feed)])
    if changed:
        raise InvalidArtifactError(
            f"the model answers the same inputs differently the second time: {changed[0]}",
            hint="Export it in evaluation mode, without dropout or random operators.",
        )
    return golden


def _outputs(model: OpenModel, feed: Mapping[str, Array]) -> tuple[TensorData, ...]:
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4  # what goes wrong is raised; nothing is to be printed besides
    try:
        arrays = model.session.run(None, dict(feed), options)
    except RUNTIME_ERRORS as error:
        raise InvalidArtifactError(
            f"the model fails on the sample: {reason(error)}", hint=_GIVE_A_SAMPLE
        ) from error
    specs = model.facts.outputs
    tensors = tuple(
        _tensor(spec.name, spec.datatype, np.asarray(array))
        for spec, array in zip(specs, arrays, strict=True)
    )
    for tensor in tensors:
        if tensor.datatype in FLOATS and not all(map(math.isfinite, tensor.data)):
            raise InvalidArtifactError(
                f"output `{tensor.name}` holds NaN or infinity on the sample",
                hint="Give inputs with a finite answer with `--sample FILE`, or repair the model.",
            )
    return tensors


def _must_be_small(tensors: Iterable[TensorData], side: str) -> None:
    size = len(json.dumps([tensor.as_json() for tensor in tensors]))
    if size > MAX_SAMPLE_BYTES:
        raise InvalidArtifactError(
            f"the {side} of the golden sample are {size / 2**20:.1f} MiB as JSON, more than the 4 MiB "
            "that a release can send",
            hint="Give a smaller sample with `--sample FILE`, for example a batch of one.",
        )


# Reading a sample


def read_npz(path: Path) -> dict[str, Array]:
    """Every array of an ``.npz`` of plain arrays; anything else is refused."""
    try:
        # Law 12: an array of Python objects is a pickle, and is not loaded.
        with local_files(path), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, TypeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidArtifactError(
            f"`{path.name}` is not an .npz of plain arrays: {error}",
            hint="Write it with `numpy.savez(path, **{input_name: array})`.",
        ) from error


def _read_request(path: Path, side: str = "inputs") -> dict[str, Array]:
    with local_files(path):
        text = path.read_bytes()
    try:
        body = json.loads(text, parse_constant=_no_constant)
        tensors = body[side]
        return {str(tensor["name"]): _request_array(tensor) for tensor in tensors}
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        said = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise InvalidArtifactError(
            f"`{path.name}` is not a V2 request: {said}",
            hint=_GIVE_BOTH
            if side == "outputs"
            else 'Write `{"inputs": [{"name": …, "datatype": …, "shape": […], "data": […]}]}`.',
        ) from error


def _no_constant(word: str) -> float:
    message = f"{word} is not a number that JSON knows"
    raise ValueError(message)


def _request_array(tensor: Mapping[str, Any]) -> Array:
    name, datatype = tensor["name"], str(tensor["datatype"])
    if datatype not in NUMPY:
        message = f"input `{name}` has unknown datatype `{datatype}`"
        raise ValueError(message)
    values, shape = list(_flat(tensor["data"])), [int(size) for size in tensor["shape"]]
    if any(size < 0 for size in shape) or math.prod(shape) != len(values):
        message = f"input `{name}` has {len(values)} values, its shape {shape} needs {math.prod(shape)}"
        raise ValueError(message)
    wanted = _kind_of_value(datatype)
    for value in values:
        if not wanted(value):
            message = f"input `{name}` holds {value!r}, which is no {datatype}"
            raise ValueError(message)
    try:
        with np.errstate(over="ignore"):  # what becomes infinite is refused with its input's name
            return np.array(values, dtype=NUMPY[datatype]).reshape(shape)
    except OverflowError as error:
        message = f"input `{name}` holds a value that is too large for {datatype}"
        raise ValueError(message) from error


def _flat(data: Any) -> Iterator[Any]:
    if isinstance(data, list):
        for item in data:
            yield from _flat(item)
    else:
        yield data


def _kind_of_value(datatype: str) -> Callable[[Any], bool]:
    if datatype == "BYTES":
        return lambda value: isinstance(value, str)
    if datatype == "BOOL":
        return lambda value: isinstance(value, bool)
    if datatype in FLOATS:
        return lambda value: isinstance(value, int | float) and not isinstance(value, bool)
    return lambda value: isinstance(value, int) and not isinstance(value, bool)


def _fitting(array: Array, spec: TensorSpec) -> Array:
    """``array`` in the datatype of ``spec``, or a refusal that says what was expected."""
    expected = f"expected {spec.datatype} with shape {spec.wire_shape}"
    sizes_fit = len(array.shape) == len(spec.shape) and all(
        isinstance(wanted, str) or wanted == size
        for wanted, size in zip(spec.shape, array.shape, strict=True)
    )
    if not sizes_fit:
        raise InvalidArtifactError(
            f"input `{spec.name}` of the sample has shape {list(array.shape)}, {expected}",
            hint="Give every input in the shape that the model takes.",
        )
    if spec.datatype == "BYTES":
        fits = array.dtype.kind in "OUS"
        cast = np.array([_text(item) for item in array.ravel()], dtype=object).reshape(array.shape)
    else:
        fits = array.dtype.kind != "O" and np.can_cast(array.dtype, NUMPY[spec.datatype], "same_kind")
        with np.errstate(over="ignore"):
            cast = array.astype(NUMPY[spec.datatype]) if fits else array
        # Narrowing is for readers of numpy's default types; a value it would change is refused.
        fits = fits and (array.dtype.kind == "f" or bool(np.array_equal(cast, array)))
    if not fits:
        raise InvalidArtifactError(
            f"input `{spec.name}` of the sample is `{array.dtype}`, {expected}",
            hint=f"Convert it to {spec.datatype} before you save the sample.",
        )
    if cast.dtype.kind == "f" and not np.isfinite(cast).all():
        raise InvalidArtifactError(
            f"input `{spec.name}` of the sample holds NaN or infinity",
            hint="Give finite numbers: a golden sample travels as JSON, which has no others.",
        )
    return cast


# Between arrays and what the protocol writes


def _tensor(name: str, datatype: str, array: Array) -> TensorData:
    shape = tuple(int(size) for size in array.shape)
    return TensorData(name, datatype, shape, tuple(_values(array.ravel(), datatype)))


def _values(flat: Array, datatype: str) -> list[Any]:
    if datatype == "BYTES":
        return [_text(item) for item in flat]
    if datatype in ("FP16", "BF16", "FP32"):
        # The shortest digits that come back as the same number: 0.1, not 0.10000000149011612.
        return [float(str(item)) for item in flat]
    return list(flat.tolist())


def _text(item: object) -> str:
    if isinstance(item, bytes):
        try:
            return item.decode()
        except UnicodeDecodeError as error:
            raise InvalidArtifactError(
                "the sample holds bytes that are not UTF-8",
                hint="Give text: a golden sample travels as JSON.",
            ) from error
    return str(item)


def _array(tensor: TensorData) -> Array:
    return np.array(tensor.data, dtype=NUMPY[tensor.datatype]).reshape(tensor.shape)


# Generating a sample


def _generated(specs: Sequence[TensorSpec], digest: Digest) -> Iterator[tuple[TensorData, ...]]:
    for first, other in _SIZES:
        sizes = _chosen_sizes(specs, first, other)
        shapes = [tuple(sizes.get(size, size) for size in spec.shape) for spec in specs]
        if sum(math.prod(map(int, shape)) for shape in shapes) > _MAX_GENERATED_VALUES:
            continue
        # Small numbers last: an input of integers may be an index into a table of any size.
        for widest in (255, 1):
            random = np.random.default_rng(int(digest.hex[:16], 16))
            yield tuple(
                _tensor(
                    spec.name,
                    spec.datatype,
                    _random(random, spec.datatype, tuple(map(int, shape)), widest),
                )
                for spec, shape in zip(specs, shapes, strict=True)
            )


def _chosen_sizes(specs: Sequence[TensorSpec], first: int, other: int) -> dict[int | str, int]:
    """A size for each open dimension; one name means one size, and what comes first is the batch."""
    leading = {spec.shape[0] for spec in specs if spec.shape}
    names = {size for spec in specs for size in spec.shape if isinstance(size, str)}
    return {name: first if name in leading else other for name in names}


def _random(random: np.random.Generator, datatype: str, shape: tuple[int, ...], widest: int) -> Array:
    if datatype == "BYTES":
        return np.full(shape, "a", dtype=object)
    if datatype in FLOATS:
        return np.asarray(random.random(shape).round(3).astype(NUMPY[datatype]))
    if datatype == "UINT8":
        return np.asarray(random.integers(0, widest + 1, shape).astype(np.uint8))
    return np.asarray(random.integers(0, 2, shape).astype(NUMPY[datatype]))
