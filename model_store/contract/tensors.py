"""Tensors as the Open Inference Protocol V2 describes them: a name, a datatype, a shape.

Source of the datatype names: Open Inference Protocol V2, "Tensor Data Types"
(github.com/kserve/open-inference-protocol).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from model_store.contract.errors import InvalidArtifactError

DATATYPES = frozenset(
    {
        "BOOL",
        "UINT8",
        "UINT16",
        "UINT32",
        "UINT64",
        "INT8",
        "INT16",
        "INT32",
        "INT64",
        "FP16",
        "BF16",
        "FP32",
        "FP64",
        "BYTES",
    }
)

FLOATS = frozenset({"FP16", "BF16", "FP32", "FP64"})
HALVES = frozenset({"FP16", "BF16"})
"""Two or three decimal digits, so a golden sample is compared with less of them."""

Dimension = int | str
"""A size, or the name of a size the caller chooses (a symbolic dimension such as ``batch``)."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a model takes or gives under one name.

    ``shape`` holds sizes, and names for the sizes that a request may choose. The protocol writes
    every chosen size as ``-1``; ``wire_shape`` does that.
    """

    name: str
    datatype: str
    shape: tuple[Dimension, ...]

    def __post_init__(self) -> None:
        if self.datatype not in DATATYPES:
            raise InvalidArtifactError(f"tensor `{self.name}` has unknown datatype `{self.datatype}`")

    @property
    def wire_shape(self) -> list[int]:
        return [size if isinstance(size, int) else -1 for size in self.shape]

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TensorSpec:
        return cls(str(data["name"]), str(data["datatype"]), tuple(data["shape"]))


@dataclass(frozen=True, slots=True)
class TensorData:
    """One tensor with its values, flat in row-major order: what a golden sample is made of."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: tuple[Any, ...]

    def as_json(self) -> dict[str, Any]:
        """The tensor as a V2 request or answer writes it."""
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": list(self.shape),
            "data": list(self.data),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TensorData:
        return cls(
            str(data["name"]),
            str(data["datatype"]),
            tuple(int(size) for size in data["shape"]),
            tuple(data["data"]),
        )
