"""Pillow at publish: what reads pictures, and files as a golden sample carries them."""

from __future__ import annotations

import base64
import io

import numpy as np

from model_store.contract.digest import Digest
from model_store.contract.errors import InvalidArtifactError
from model_store.contract.pictures import MODES, Library, PictureStep

SUFFIXES = (".jpg", ".jpeg", ".png")

_DRAWN = 16
"""Pixels each way of a generated picture: enough for every pixel of a model's to differ, and under 1 KB."""


def library() -> Library:
    """What reads pictures. Raises ``InvalidArtifactError`` where Pillow is not installed."""
    try:
        from PIL.JpegImagePlugin import JpegImageFile
        from PIL.PngImagePlugin import PngImageFile
    except ImportError as error:
        raise InvalidArtifactError(
            f"the artifact takes files of pictures, and Pillow is not installed here: {error}",
            hint="Run `pip install pillow` in the version of layers/runtime-image.in.",
        ) from error
    return Library(JpegImageFile, PngImageFile, np)


def drawn(step: PictureStep, digest: Digest, count: int) -> tuple[str, ...]:
    """``count`` pictures of noise that follow from ``digest``, as JSON carries them: base64 of a PNG."""
    from PIL import Image

    random = np.random.default_rng(int(digest.hex[:16], 16))
    found = []
    for _ in range(count):
        values = random.integers(0, 256, (_DRAWN, _DRAWN, MODES[step.mode]), np.uint8)
        file = io.BytesIO()
        Image.fromarray(values.squeeze()).save(file, "PNG")
        found.append(written(file.getvalue()))
    return tuple(found)


def written(file: bytes) -> str:
    """The bytes of a file as JSON carries them."""
    return base64.b64encode(file).decode()
