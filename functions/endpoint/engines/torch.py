"""torch: exported programs, AOTInductor packages, TorchScript, and weights with a declared architecture.

torch is imported here and in ``architectures`` only, so a server for an ONNX model never pays for it. What
an archive may hold was decided when it was published (``model_store.torch_archive``); nothing else is
loaded, because the digest is checked first (law 2) and the manifest says the kind (law 12).

Tensors go in and out by the manifest's names: by name where the program has the same ones, else in order.
A run that is told to stop ends before the next operator of an exported program or a declared architecture.
TorchScript and compiled packages are one call into machine code, which nobody can interrupt: there the
caller is answered in time, and a run that does not end makes the server broken (``batcher.STUCK_AFTER_S``).
"""

from __future__ import annotations

import contextlib
import inspect
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.fx import GraphModule
from torch.utils import _pytree as pytree

from functions.endpoint.engines.architectures import declared
from functions.endpoint.engines.cuda_graphs import Captures
from functions.endpoint.engines.gradients import integrated
from functions.inference.artifact import Artifact
from functions.inference.predictor import BadInputError, Stop
from functions.protocol.tensors import DTYPES, Array
from model_store.contract.errors import IntegrityError
from model_store.contract.kinds import SAFETENSORS, TORCH_AOT, TORCH_EXPORT, TORCHSCRIPT
from model_store.contract.manifest import Manifest

Run = Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]
"""Tensors in the manifest's order to tensors in the manifest's order, all on the engine's device."""

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}

# What torch raises when a model and its inputs do not go together. What is the server's own fault shows
# when the golden sample fails too (``functions.endpoint.runner``).
_RUN_ERRORS: tuple[type[Exception], ...] = (
    *(RuntimeError, IndexError, ValueError, TypeError, AssertionError, KeyError, MemoryError),
)

_IN_SCRIPT = "The following operation failed in the TorchScript interpreter"


class StoppedError(RuntimeError):
    """The run was told to stop."""


class TorchEngine:
    """One loaded model on one device."""

    def __init__(
        self,
        run: Run,
        manifest: Manifest,
        *,
        device: torch.device,
        autocast: str = "off",
        cuda_graphs: bool = False,
    ) -> None:
        self._run = run
        self._inputs = [spec.name for spec in manifest.inputs]
        self._outputs = {spec.name: (at, spec.datatype) for at, spec in enumerate(manifest.outputs)}
        self._device = device
        self.has_gradients = manifest.kind != TORCH_AOT
        """Whether the way back to the inputs is known; a compiled package goes forward only."""
        self._autocast = AUTOCAST.get(autocast)
        self._captures = Captures(self._computed, device) if cuda_graphs and device.type == "cuda" else None
        self.providers = (f"torch {device}" + (f" {autocast}" if self._autocast else ""),)

    def __call__(
        self, inputs: Mapping[str, Array], outputs: Sequence[str], *, options: Stop | None = None
    ) -> dict[str, Array]:
        """The wanted outputs. Raises ``BadInputError`` for what the model refuses and for a stopped run."""
        tensors = [_tensor(inputs[name]) for name in self._inputs]
        try:
            with torch.inference_mode(), _stoppable(options):
                results = self._captures(tensors) if self._captures else self._there_and_back(tensors)
                return {name: self._array(name, results) for name in outputs}
        except _RUN_ERRORS as error:
            raise BadInputError(_why_not(error)) from error

    def integrated(
        self,
        inputs: Mapping[str, Array],
        output: str,
        target: int,
        *,
        baseline: float,
        steps: int,
        end: float,
    ) -> tuple[dict[str, Array], float, float]:
        """What each float of ``inputs`` was worth to a value of ``output``, that value, and the baseline's.

        Raises ``BadInputError`` for what the model refuses and what ``engines.gradients`` raises.
        """
        tensors = [_tensor(inputs[name]).to(self._device) for name in self._inputs]
        at, _ = self._outputs[output]
        try:
            found = integrated(self._computed, tensors, at, target, baseline=baseline, steps=steps, end=end)
        except _RUN_ERRORS as error:
            raise BadInputError(_why_not(error)) from error
        worths = {self._inputs[place]: worth.cpu().numpy() for place, worth in found.worths.items()}
        return worths, found.value, found.baseline_value

    def _there_and_back(self, tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        results = self._computed([tensor.to(self._device) for tensor in tensors])
        return [result.cpu() for result in results]

    def _computed(self, tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        if self._autocast is None:
            return self._run(tensors)
        with torch.autocast(self._device.type, dtype=self._autocast):
            return self._run(tensors)

    def _array(self, name: str, results: Sequence[torch.Tensor]) -> Array:
        at, datatype = self._outputs[name]
        result = results[at]
        dtype = DTYPES[datatype]
        if result.is_floating_point() and dtype.kind == "f":
            # numpy has no bf16; what is narrower than the manifest says is widened here.
            result = result.float() if result.dtype is torch.bfloat16 else result
            return result.numpy().astype(dtype, copy=False)
        array: Array = result.numpy()
        if array.dtype != dtype:
            raise IntegrityError(f"output `{name}` comes as {array.dtype}, and its manifest says {datatype}")
        return array


def load(
    artifact: Artifact,
    *,
    threads: int,
    device: str = "auto",
    autocast: str = "off",
    cuda_graphs: bool = True,
    lanes: int = 1,
) -> TorchEngine:
    """Load a verified artifact on ``device``: ``auto``, ``cpu`` or ``cuda``.

    Raises ``IntegrityError`` for a GPU that is asked for and not there (law 9), for tensors that torch does
    not have, and for a setting that this kind of artifact cannot follow.
    """
    manifest = artifact.manifest
    target = _device(device)
    if manifest.kind == TORCH_AOT and autocast != "off":
        raise IntegrityError(
            "a compiled package computes in the precision it was compiled for",
            hint="Compile the model under `torch.autocast`, or leave `SWITCHYARD_AUTOCAST` off.",
        )
    for spec in (*manifest.inputs, *manifest.outputs):
        if spec.datatype == "BYTES":
            raise IntegrityError(f"`{spec.name}` is BYTES, and torch has no texts")
    if not manifest.inputs or not manifest.outputs:
        raise IntegrityError(
            f"the manifest of `{manifest.ref}` does not say what the model takes and gives",
            hint="Publish it with a sample: `yard publish --sample FILE`.",
        )
    torch.set_num_threads(threads)
    folder = Path(artifact.verified())
    path = str(folder / manifest.entry)
    if manifest.kind == TORCH_EXPORT:
        run = _exported(path, manifest, target)
    elif manifest.kind == TORCH_AOT:
        run = _compiled(path, manifest, target, lanes)
    elif manifest.kind == TORCHSCRIPT:
        run = _scripted(path, manifest, target)
    elif manifest.kind == SAFETENSORS:
        run = _declared(folder, manifest, target)
    else:
        raise IntegrityError(f"`{manifest.ref}` is a {manifest.kind} artifact, and torch runs it not here")
    # TorchScript's executor compiles while it runs, which a capture would hold on to.
    graphs = cuda_graphs and manifest.kind != TORCHSCRIPT
    return TorchEngine(run, manifest, device=target, autocast=autocast, cuda_graphs=graphs)


def _device(device: str) -> torch.device:
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise IntegrityError(
            "a GPU is asked for, and torch finds none",
            hint="Check the driver on the host and that this image is the CUDA one.",
        )
    return torch.device("cuda", torch.cuda.current_device()) if there and device != "cpu" else _CPU


_CPU = torch.device("cpu")


# The four kinds


def _exported(path: str, manifest: Manifest, device: torch.device) -> Run:
    program = torch.export.load(path)
    if device.type == "cuda":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, device)
    names = list(program.graph_signature.user_inputs)
    in_spec = program.call_spec.in_spec
    module = program.module()
    _make_stoppable(module)
    return _Call(module, in_spec, _order([str(name) for name in names], manifest), manifest)


def _compiled(path: str, manifest: Manifest, device: torch.device, lanes: int) -> Run:
    # The compiler comes along with its loader: two seconds that nobody else pays for.
    from torch._inductor.package.package import load_package

    # Compiled code takes the sizes on trust unless it is told not to, and callers choose sizes.
    os.environ["AOTI_RUNTIME_CHECK_INPUTS"] = "1"
    index = device.index if device.type == "cuda" and device.index is not None else -1
    package: Any = load_package(path, num_runners=lanes, device_index=index)
    in_spec = pytree.treespec_loads(package.loader.get_call_spec()[0])
    return _Call(package, in_spec, range(len(manifest.inputs)), manifest)


def _scripted(path: str, manifest: Manifest, device: torch.device) -> Run:
    with warnings.catch_warnings():
        # torch advises against TorchScript since 2.10, and reads it on every Python before 3.14.
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(path, map_location=device).eval()  # type: ignore[no-untyped-call]
    names = [argument.name for argument in module.forward.schema.arguments[1:]]
    return _Call(module, None, _order(names, manifest), manifest)


def _declared(folder: Path, manifest: Manifest, device: torch.device) -> Run:
    module = declared(folder, manifest.entry).to(device)
    names = list(inspect.signature(module.forward).parameters)
    for part in module.modules():
        if part is not module:
            part.register_forward_pre_hook(_before_part)
    return _Call(module, None, _order(names, manifest), manifest)


def _order(names: Sequence[str], manifest: Manifest) -> Sequence[int]:
    """Where in the manifest's inputs each argument of the program stands."""
    given = [spec.name for spec in manifest.inputs]
    if set(given) <= set(names):
        return [given.index(name) for name in names if name in given]
    return range(len(given))


class _Call:
    """Calls a program with flat tensors, and gives flat tensors back in the manifest's order."""

    def __init__(
        self,
        program: Callable[..., Any],
        in_spec: pytree.TreeSpec | None,
        order: Sequence[int],
        manifest: Manifest,
    ) -> None:
        self._program = program
        self._in_spec = in_spec
        self._order = list(order)
        self._outputs = [spec.name for spec in manifest.outputs]
        leaves = len(self._order) if in_spec is None else in_spec.num_leaves
        if leaves != len(manifest.inputs):
            raise IntegrityError(
                f"the program takes {leaves} tensors, and its manifest names {len(manifest.inputs)}"
            )

    def __call__(self, tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        ordered = [tensors[at] for at in self._order]
        if self._in_spec is None:
            result = self._program(*ordered)
        else:
            arguments, named = pytree.tree_unflatten(ordered, self._in_spec)
            result = self._program(*arguments, **named)
        if isinstance(result, dict) and all(name in result for name in self._outputs):
            return [result[name] for name in self._outputs]
        found, _ = pytree.tree_flatten(result)
        if len(found) != len(self._outputs):
            raise IntegrityError(
                f"the program gives {len(found)} tensors, and its manifest names {len(self._outputs)}"
            )
        return found


# Between arrays and tensors, and stopping


def _tensor(array: Array) -> torch.Tensor:
    """A tensor over the array's memory; what lies in a request's body is not written to, so it is copied."""
    whole = np.ascontiguousarray(array)
    return torch.from_numpy(whole if whole.flags.writeable else whole.copy())


_RUNNING = threading.local()


@contextlib.contextmanager
def _stoppable(stop: Stop | None) -> Iterator[None]:
    _RUNNING.stop = stop
    try:
        yield
    finally:
        _RUNNING.stop = None


def checkpoint() -> None:
    """End this thread's run here if it was told to stop."""
    stop = getattr(_RUNNING, "stop", None)
    if stop is not None and stop.terminate:
        raise StoppedError("the run was told to stop")


def _before_part(_module: torch.nn.Module, _arguments: Any) -> None:
    checkpoint()


def _make_stoppable(module: torch.nn.Module) -> None:
    """Look before each operator, also inside loops, whether the run was told to stop."""
    for part in module.modules():
        if not isinstance(part, GraphModule):
            continue
        for node in list(part.graph.nodes):
            if node.op == "call_function":
                with part.graph.inserting_before(node):
                    part.graph.call_function(checkpoint)
        part.recompile()


def _why_not(error: Exception) -> str:
    """One sentence of what torch says, without the sources that it shows around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    said = lines[-1] if lines[0].startswith(_IN_SCRIPT) else lines[0]
    said = said.partition("Error: ")[2] or said
    return f"the model cannot run on these inputs: {said[:200].rstrip('.')}"
