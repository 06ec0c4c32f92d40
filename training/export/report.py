"""What an ONNX file is made of: operators, weights, bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import onnx

_ML = "ai.onnx.ml"


@dataclass(frozen=True, slots=True)
class GraphReport:
    """``operators`` counts the nodes by type, most frequent first; ``weights`` the numbers in initialisers by
    datatype, and those that trees and the like keep in attributes; ``largest`` the initialisers with the most
    bytes."""

    bytes: int
    opset: int
    operators: dict[str, int]
    weights: dict[str, int]
    largest: tuple[tuple[str, int], ...]

    @property
    def parameters(self) -> int:
        return sum(self.weights.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "bytes": self.bytes,
            "opset": self.opset,
            "operators": self.operators,
            "weights": self.weights,
            "largest": [list(one) for one in self.largest],
        }


def report(path: Path) -> GraphReport:
    """Read the file at ``path`` and count."""
    model = onnx.load(path)
    operators = Counter(_operator(node) for node in _nodes(model.graph))
    weights: Counter[str] = Counter()
    sizes = []
    for weight in model.graph.initializer:
        weights[onnx.TensorProto.DataType.Name(weight.data_type).lower()] += prod(weight.dims)
        sizes.append((weight.name, weight.ByteSize()))
    for node in _nodes(model.graph):
        if node.domain == _ML and (numbers := sum(len(one.floats) for one in node.attribute)):
            weights["float"] += numbers
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 0)
    return GraphReport(
        path.stat().st_size,
        opset,
        dict(sorted(operators.items(), key=lambda item: (-item[1], item[0]))),
        dict(sorted(weights.items())),
        tuple(sorted(sizes, key=lambda one: (-one[1], one[0]))[:5]),
    )


def _operator(node: onnx.NodeProto) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else str(node.op_type)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)
