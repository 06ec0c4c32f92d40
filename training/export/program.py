"""torch → ONNX by the current exporter: one file, any batch size, the same bytes each time."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from training.errors import ExportError

BATCH = "batch"


def export(
    model: nn.Module, example: Tensor, path: Path, *, names: tuple[str, tuple[str, ...]], opset: int
) -> None:
    """Write ``model`` to ``path``. ``names`` are the input's and the outputs'; ``example`` has two rows.

    Raises ``ExportError`` where the exporter or onnx's own checker refuses.
    """
    taken, given = names
    model.eval()
    try:
        with _quiet():
            program = torch.onnx.export(
                model,
                (example,),
                input_names=[taken],
                output_names=list(given),
                dynamic_shapes=({0: torch.export.Dim(BATCH)},),
                opset_version=opset,
                dynamo=True,
                verbose=False,
            )
            if program is None:
                raise ExportError("torch exported nothing")
            proto = program.model_proto
            forget_where_it_was_made(proto)
            onnx.checker.check_model(proto, full_check=True)
    except (torch.onnx.OnnxExporterError, onnx.checker.ValidationError, RuntimeError) as error:
        raise ExportError(
            f"the model cannot be exported: {str(error).splitlines()[0]}",
            hint="Replace what depends on the values of its inputs, for example a Python `if` on a tensor.",
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def forget_where_it_was_made(proto: onnx.ModelProto) -> None:
    """Drop the exporter's notes: stack traces with this machine's paths, in every node."""
    del proto.metadata_props[:]
    del proto.graph.metadata_props[:]
    values = (*proto.graph.input, *proto.graph.output, *proto.graph.value_info)
    for noted in (*proto.graph.node, *proto.graph.initializer, *values):
        del noted.metadata_props[:]
        noted.doc_string = ""


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter misses torchvision, which is not used here, and uses what torch itself deprecates."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=FutureWarning)
            warnings.simplefilter("ignore", category=DeprecationWarning)
            yield
    finally:
        logging.disable(before)
