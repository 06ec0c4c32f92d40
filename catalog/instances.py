"""Which instance types exist, and what an instance type's name says about the machine.

The names are AWS's own lists (``instance_types.json`` says which). A type that AWS has added since is refused
until the file is written again: one that does not exist would be refused minutes into a deploy (law 8).
"""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Literal

_FILE = Path(__file__).with_name("instance_types.json")
_SAGEMAKER_PREFIX = "ml."
_FAMILY = re.compile(r"(?P<series>[a-z]+)(?P<generation>[0-9]+)(?P<traits>[a-z]*)")

Device = Literal["cpu", "cuda"]

_GPU_SERIES = ("g", "gr", "p")
_NEITHER = ("inf", "trn", "dl", "vt", "f")
"""Accelerators that neither CUDA nor a plain processor program runs on."""
_AMD_GPUS = ("g4ad",)


@cache
def known_types(target: str) -> frozenset[str]:
    """Every instance type that ``target`` (``sagemaker`` or ``ec2``) may be given."""
    families: dict[str, str] = json.loads(_FILE.read_text("utf-8"))[target]
    prefix = _SAGEMAKER_PREFIX if target == "sagemaker" else ""
    return frozenset(
        f"{prefix}{family}.{size}" for family, sizes in families.items() for size in sizes.split()
    )


def nearest_type(target: str, written: str) -> str | None:
    """The known type that ``written`` was most likely meant to be."""
    close = get_close_matches(written, sorted(known_types(target)), n=1, cutoff=0.7)
    return close[0] if close else None


def device_of(instance_type: str) -> Device | None:
    """What a container finds there: a CUDA device, a processor alone, or (``None``) neither of the two."""
    family = _family(instance_type)
    found = _FAMILY.match(family)
    series = found["series"] if found else ""
    if series in _NEITHER or family in _AMD_GPUS:
        return None
    return "cuda" if series in _GPU_SERIES else "cpu"


def machine_of(instance_type: str) -> Literal["x86_64", "arm64"]:
    """The processor: Graviton's families carry a ``g`` after their number (``c7g``, ``g5g``, ``im4gn``)."""
    family = _family(instance_type)
    if family == "a1" or "-gb" in family:
        return "arm64"
    found = _FAMILY.match(family)
    return "arm64" if found and "g" in found["traits"] else "x86_64"


def has_local_disk(instance_type: str) -> bool:
    """Whether it brings its own disk: encrypted by the machine itself, and of a size that nobody chooses.

    SageMaker takes no key and no volume size there (API reference, ``CreateEndpointConfig``, ``KmsKeyId``).
    """
    found = _FAMILY.match(_family(instance_type))
    if found is None:
        return False
    recent_gpu = found["series"] in _GPU_SERIES and int(found["generation"]) >= 5 and found["traits"] != "g"
    return "d" in found["traits"] or recent_gpu


def _family(instance_type: str) -> str:
    return instance_type.removeprefix(_SAGEMAKER_PREFIX).rsplit(".", 1)[0]
