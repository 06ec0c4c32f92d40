"""Pictures as callers have them: files of JPEG or PNG go in, a byte for each value of each pixel comes out.

A step of a pipeline that is not a graph, because no graph can decode a file without ending the process on an
odd one (ADR 64). It is data: the artifact says how large, in which order and in which colours, never how::

    {"steps": [{"picture": "image", "gives": "pixels", "size": [224, 224], "mode": "RGB"}, "model.onnx"]}

What is computed is what these lines of Pillow say, so training can do the same::

    ImageOps.exif_transpose(image).convert(mode).resize((width, height), resample)

Transparency is dropped, 16 bits of grey become 8, and ``"fit": "crop"`` first takes the middle of the
picture's longer side away. A caller's bytes are never trusted: what they claim to hold is counted before
anything is decoded, and whatever they are, the worst they cause is a ``PictureError``.

Pillow and numpy are handed in, because the contract imports the standard library alone.
"""

from __future__ import annotations

import binascii
import io
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from model_store.contract.errors import InvalidArtifactError, PictureError

MAX_PIXELS = 25_000_000
"""Of one picture, as its header says. Decoded it takes 100 MB, and turning it takes as much again."""

PIXELS_OF_MB = 50_000
"""How many pixels one picture may have for each megabyte of memory: decoded they take a fifth of it, and two
while they are turned. Below 500 MB this is less than ``MAX_PIXELS``; Lambda's processor shrinks with it."""

PICTURES_TOGETHER = 2
"""The pictures of one request may have as many pixels together as this many of the largest."""

MAX_SCANS = 64
"""Of one JPEG. A progressive one has ten or so; each costs a pass over all pixels and may be a few bytes."""

MAX_PASSED_PIXELS = 250_000_000
"""Of one JPEG, pixels times scans."""

MAX_MADE_BYTES = 134_217_728
"""Of one request, what its pictures are made into."""

MAX_SIDE = 4_096

MODES = {"RGB": 3, "L": 1}
"""How many values a pixel has: colours, or grey."""

RESAMPLE = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
"""Pillow's ``Image.Resampling``."""

LAYOUTS = ("NHWC", "NCHW")
FITS = ("stretch", "crop")

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
"""What begins a part of a JPEG, with its length behind it. Within the picture's own data there is none."""

_SCAN, _END = b"\xda", b"\xd9"
_ORIENTATION = 0x0112
_TURNED = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""Orientation of EXIF to Pillow's ``Image.Transpose``, as ``ImageOps.exif_transpose`` has it."""

_MAY_ORIENT = frozenset({"exif", "xmp", "Raw profile type exif", "XML:com.adobe.xmp"})
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_EXAMPLE = 'Write `{"picture": "image", "gives": "pixels", "size": [224, 224]}`.'
_KNOWN = {"picture", "gives", "size", "mode", "resample", "layout", "fit"}


class Library(NamedTuple):
    """What is used of Pillow and numpy: how the two formats are opened, and what arrays are made of."""

    jpeg: Any
    png: Any
    numpy: Any


@dataclass(frozen=True, slots=True)
class PictureStep:
    """What a step makes of pictures. ``size`` is height and width."""

    input: str
    output: str
    size: tuple[int, int]
    mode: str = "RGB"
    resample: str = "bilinear"
    layout: str = "NHWC"
    fit: str = "stretch"

    @property
    def path(self) -> str:
        """What messages call it, as they call a graph by its file."""
        return f"picture {self.input}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one picture, without the leading size."""
        values = MODES[self.mode]
        return (*self.size, values) if self.layout == "NHWC" else (values, *self.size)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> PictureStep:
        """Read a step. Raises ``InvalidArtifactError`` that says which word is wrong and what there is."""
        if unknown := sorted(set(document) - _KNOWN):
            raise InvalidArtifactError(
                f"a picture step has `{unknown[0]}`, which it does not know",
                hint=f"It knows {', '.join(sorted(_KNOWN))}.",
            )
        for word in ("picture", "gives"):
            if not isinstance(name := document.get(word), str) or not _NAME.fullmatch(name):
                raise InvalidArtifactError(
                    f"`{word}` of a picture step is not the name of a tensor", hint=_EXAMPLE
                )
        size = document.get("size")
        if (
            not isinstance(size, list)
            or len(size) != 2
            or not all(type(side) is int and 1 <= side <= MAX_SIDE for side in size)
        ):
            raise InvalidArtifactError(
                f"`size` of a picture step is not a height and a width from 1 to {MAX_SIDE}", hint=_EXAMPLE
            )
        return cls(
            document["picture"],
            document["gives"],
            (size[0], size[1]),
            _one_of(document, "mode", MODES),
            _one_of(document, "resample", RESAMPLE, "bilinear"),
            _one_of(document, "layout", LAYOUTS),
            _one_of(document, "fit", FITS),
        )


class Pictures:
    """A picture step, as what runs a step: its ``run`` is that of a session. Stateless, for any thread."""

    def __init__(self, step: PictureStep, library: Library, *, memory_mb: int = 0) -> None:
        """``memory_mb`` is what the process may take, 0 where nobody says."""
        self.step = step
        self._most_pixels = min(MAX_PIXELS, memory_mb * PIXELS_OF_MB or MAX_PIXELS)
        self._numpy = library.numpy
        self._openers = ((_JPEG, library.jpeg), (_PNG, library.png))
        # Pillow warns of odd EXIF and the like, by lines in the log that a caller could write.
        warnings.filterwarnings("ignore", module=r"PIL\.")

    def run(
        self,
        output_names: Sequence[str] | None,  # noqa: ARG002 - a session's signature; there is but one
        input_feed: Mapping[str, Any],
        run_options: Any = None,
    ) -> list[Any]:
        """The pixels of every picture, UINT8. Raises ``PictureError`` for the first that cannot be read.

        An element is the bytes of a file, or those as base64, which is how JSON carries bytes. Ends early
        when ``run_options`` say so, as a session does.
        """
        files = input_feed[self.step.input].reshape(-1).tolist()
        wanted = len(files) * math.prod(self.step.shape)
        if wanted > MAX_MADE_BYTES:
            raise PictureError(
                f"{len(files)} pictures make {wanted} bytes of pixels, and at most {MAX_MADE_BYTES} are made "
                "at once"
            )
        opened = [self._opened(at, file) for at, file in enumerate(files)]
        together = sum(width * height for width, height in (image.size for image in opened))
        if together > (most := self._most_pixels * PICTURES_TOGETHER):
            raise PictureError(
                f"the pictures have {together} pixels together, and at most {most} go through at once"
            )
        made = self._numpy.empty((len(files), *self.step.shape), self._numpy.uint8)
        for at in range(len(files)):
            if getattr(run_options, "terminate", False):
                raise PictureError("the pictures were not read in time")
            # Let go of each as soon as it is read: decoded, one may take a hundred times its file.
            image, opened[at] = opened[at], None
            try:
                made[at] = self._pixels(image)
            except Exception as error:  # noqa: BLE001 - Pillow raises whatever its formats ran into
                raise PictureError(_cannot(at, error)) from None
        return [made]

    def _opened(self, at: int, file: object) -> Any:
        """The picture, of which the header alone was read."""
        data = _bytes(at, file)
        opener = next((opener for magic, opener in self._openers if data.startswith(magic)), None)
        if opener is None:
            raise PictureError(f"picture {at} is neither JPEG nor PNG: its {len(data)} bytes begin otherwise")
        try:
            image = opener(io.BytesIO(data))
        except Exception as error:  # noqa: BLE001 - the same
            raise PictureError(_cannot(at, error)) from None
        width, height = image.size
        if width * height > self._most_pixels:
            raise PictureError(
                f"picture {at} has {width} x {height} pixels, {width * height} in all, and at most "
                f"{self._most_pixels} are decoded"
            )
        scans = _scans(data) if opener is self._openers[0][1] else 0
        if scans > MAX_SCANS or scans * width * height > MAX_PASSED_PIXELS:
            raise PictureError(
                f"picture {at} is a JPEG of {width} x {height} pixels in {scans} scans, and at most "
                f"{MAX_SCANS} scans of {MAX_PASSED_PIXELS} pixels together are read"
            )
        return image

    def _pixels(self, image: Any) -> Any:
        step = self.step
        image.load()
        if not _MAY_ORIENT.isdisjoint(image.info):
            turned = _TURNED.get(image.getexif().get(_ORIENTATION, 1))
            image = image if turned is None else image.transpose(turned)
        if image.mode.startswith("I"):
            image = image.point(lambda value: value * (1 / 256))
        if image.mode != step.mode:
            image = image.convert(step.mode)
        height, width = step.size
        box = _middle(image.size, (width, height)) if step.fit == "crop" else None
        image = image.resize((width, height), RESAMPLE[step.resample], box=box)
        pixels = self._numpy.asarray(image).reshape(height, width, MODES[step.mode])
        return pixels if step.layout == "NHWC" else pixels.transpose(2, 0, 1)


def _one_of(
    document: Mapping[str, Any], word: str, known: Sequence[str] | Mapping[str, int], otherwise: str = ""
) -> str:
    value = document.get(word, otherwise or next(iter(known)))
    if not isinstance(value, str) or value not in known:
        raise InvalidArtifactError(
            f"`{word}` of a picture step is `{str(value)[:40]}`", hint=f"Use one of {', '.join(known)}."
        )
    return value


def _middle(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest box of the wanted proportions in the middle: left, top, right, bottom."""
    width, height = size
    scale = min(width / wanted[0], height / wanted[1])
    # `wanted * scale` may be rounded to more than there is, and Pillow refuses a box that begins before 0.
    left, top = max(0.0, (width - wanted[0] * scale) / 2), max(0.0, (height - wanted[1] * scale) / 2)
    return left, top, width - left, height - top


def _bytes(at: int, file: object) -> bytes:
    if isinstance(file, bytes):
        return file
    try:
        return binascii.a2b_base64(str(file), strict_mode=True)
    except ValueError:
        raise PictureError(
            f"picture {at} is a text and not base64: JSON carries the bytes of a file as base64"
        ) from None


def _scans(data: bytes) -> int:
    """How many scans a JPEG has up to its end: what lies in its segments, or behind it, is none."""
    at = found = 0
    while (marker := _MARKER.search(data, at)) and marker[1] != _END:
        found += marker[1] == _SCAN
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return found


def _cannot(at: int, error: Exception) -> str:
    said = " ".join(str(error).split())[:120] if isinstance(error, OSError | SyntaxError | ValueError) else ""
    return f"picture {at} cannot be read: {said}" if said else f"picture {at} cannot be read"
