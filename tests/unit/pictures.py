"""Held-out digits as files, for a model that takes those: see ``examples.digits.steps``."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


def held_out() -> tuple[Any, Any]:
    """Pictures that the model has not seen, and their digits."""
    with np.load(DIGITS / "held_out.npz") as held:
        return np.rint(held["image"].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), held["label"]


def drawn(pixels: Any, kind: str = "PNG") -> bytes:
    """A file of these pixels, each eight times as large."""
    file = io.BytesIO()
    Image.fromarray(pixels.repeat(8, axis=0).repeat(8, axis=1)).save(file, kind)
    return file.getvalue()


def digit(number: int, kind: str = "PNG") -> bytes:
    """The first held-out picture of ``number``."""
    pixels, label = held_out()
    return drawn(pixels[np.flatnonzero(label == number)[0]], kind)


def text(file: bytes) -> str:
    """A file as JSON carries it."""
    return base64.b64encode(file).decode()
