"""Files of pictures to bytes per pixel: what comes out, what is refused, and that nothing worse happens."""

from __future__ import annotations

import base64
import io
import random
import struct
import zlib
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from functions.inference.pictures import library
from model_store.contract import pictures
from model_store.contract.errors import InvalidArtifactError, PictureError
from model_store.contract.pictures import MAX_PIXELS, Pictures, PictureStep

ASKED: dict[str, Any] = {"picture": "image", "gives": "pixels", "size": [6, 4]}


def drawn(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """A picture of no symmetry, so that a turned one is another."""
    y, x = np.mgrid[0:height, 0:width]
    values = np.stack([x * 255 // width, y * 255 // height, (x * y) % 256], axis=-1).astype(np.uint8)
    return Image.fromarray(values).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def read(*files: object, terminate: bool = False, **said: Any) -> Any:
    step = PictureStep.from_json(ASKED | said)
    array = np.empty(len(files), object)
    array[:] = files
    (pixels,) = Pictures(step, library()).run(None, {"image": array}, SimpleNamespace(terminate=terminate))
    return pixels


def png(width: int, height: int, data: bytes = b"", *, colours: int = 2) -> bytes:
    """A PNG whose header says whatever it is told to."""
    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("resample", pictures.RESAMPLE)
def test_pixels_are_what_pillow_s_own_lines_make_of_a_file(kind: str, resample: str) -> None:
    """What training does with three lines of Pillow is what serving does."""
    file = encoded(drawn(31, 17), kind)
    opened = ImageOps.exif_transpose(Image.open(io.BytesIO(file)))
    expected = opened.convert("RGB").resize((4, 6), Image.Resampling[resample.upper()])
    assert np.array_equal(read(file, resample=resample)[0], np.asarray(expected))


def test_several_files_of_any_size_are_one_tensor_in_their_order() -> None:
    black, white = Image.new("RGB", (9, 9)), Image.new("L", (3, 50), 255)
    made = read(encoded(black), encoded(white, "JPEG"), encoded(black, "JPEG"))
    assert (made.shape, made.dtype) == ((3, 6, 4, 3), np.uint8)
    assert made.reshape(3, -1).mean(axis=1).tolist() == [0, 255, 0]


def test_no_picture_at_all_is_an_empty_tensor() -> None:
    assert read().shape == (0, 6, 4, 3)


@pytest.mark.parametrize(
    ("said", "shape"),
    [
        ({"layout": "NCHW"}, (1, 3, 6, 4)),
        ({"mode": "L"}, (1, 6, 4, 1)),
        ({"mode": "L", "layout": "NCHW"}, (1, 1, 6, 4)),
    ],
    ids=["channels-first", "grey", "grey-channels-first"],
)
def test_layout_and_mode_decide_the_shape_and_not_the_values(
    said: dict[str, Any], shape: tuple[int, ...]
) -> None:
    file = encoded(drawn(20, 20))
    made = read(file, **said)
    assert made.shape == shape
    same = read(file, mode=said.get("mode", "RGB"))
    assert np.array_equal(made.transpose(0, 2, 3, 1) if said.get("layout") else made, same)


def test_the_file_as_base64_is_the_file() -> None:
    file = encoded(drawn(20, 20), "JPEG")
    assert np.array_equal(read(base64.b64encode(file).decode()), read(file))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_camera_s_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encoded(drawn(40, 20), kind, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(file))).resize((4, 6), Image.Resampling.BILINEAR)
    assert np.array_equal(read(file)[0], np.asarray(expected))


def test_a_picture_is_stretched_or_its_middle_is_taken() -> None:
    wide = Image.new("RGB", (300, 60))
    wide.paste((255, 255, 255), (130, 0, 170, 60))
    assert read(encoded(wide), fit="crop", resample="box").min() == 255
    assert read(encoded(wide), resample="box").min() == 0


@pytest.mark.parametrize(
    "image",
    [
        drawn(9, 9, "RGBA"),
        drawn(9, 9, "P"),
        drawn(9, 9, "LA"),
        drawn(9, 9).convert("1"),
        Image.fromarray((np.arange(81, dtype=np.uint16) * 800).reshape(9, 9)),
    ],
    ids=["alpha", "palette", "grey-alpha", "black-white", "sixteen-bits"],
)
def test_every_kind_of_png_has_its_colours_and_its_greys(image: Image.Image) -> None:
    grey = image if not image.mode.startswith("I") else Image.fromarray(np.asarray(image) // 256).convert("L")
    expected = np.asarray(grey.convert("L").resize((4, 6), Image.Resampling.BILINEAR))
    found = read(encoded(image), mode="L")[0, ..., 0].astype(int)
    assert np.abs(found - expected).max() <= 1
    assert read(encoded(image)).shape == (1, 6, 4, 3)


def test_a_jpeg_of_printers_colours_is_read() -> None:
    found = read(encoded(Image.new("CMYK", (9, 9), (0, 0, 0, 0)), "JPEG"))
    assert found.min() > 250


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (b"", "picture 0 is neither JPEG nor PNG: its 0 bytes begin otherwise"),
        (b"GIF89a" + bytes(50), "picture 0 is neither JPEG nor PNG"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "picture 0 is neither JPEG nor PNG"),
        ("it is a cat", "picture 0 is a text and not base64"),
        ("cat\u00e9", "picture 0 is a text and not base64"),
        (base64.b64encode(b"GIF89a").decode(), "picture 0 is neither JPEG nor PNG"),
        (b"\xff\xd8\xff", "picture 0 cannot be read"),
        (b"\x89PNG\r\n\x1a\n", "picture 0 cannot be read"),
        (encoded(drawn(99, 99), "JPEG")[:900], "picture 0 cannot be read: image file is truncated"),
        (encoded(drawn(99, 99))[:400], "picture 0 cannot be read"),
        (png(20, 20, b"short"), "picture 0 cannot be read"),
    ],
    ids=[
        *("empty", "gif", "webp", "text", "letters", "base64-of-gif", "jpeg-start", "png-start"),
        *("half-jpeg", "half-png", "too-little-data"),
    ],
)
def test_what_is_no_whole_picture_is_refused_in_a_sentence(file: object, says: str) -> None:
    with pytest.raises(PictureError) as refused:
        read(file)
    assert str(refused.value).startswith(says)
    assert "0x" not in str(refused.value)


def test_the_first_that_cannot_be_read_is_named() -> None:
    whole = encoded(drawn(9, 9))
    with pytest.raises(PictureError, match="picture 2 cannot be read"):
        read(whole, whole, whole[:-30], whole)


def test_more_pixels_than_are_decoded_are_counted_in_the_header() -> None:
    """4 KB that say of themselves that they are gigabytes."""
    with pytest.raises(PictureError) as refused:
        read(png(60_000, 60_000))
    assert str(refused.value) == (
        f"picture 0 has 60000 x 60000 pixels, 3600000000 in all, and at most {MAX_PIXELS} are decoded"
    )


def test_many_pictures_are_counted_together_before_the_first_is_decoded() -> None:
    side = 4_900
    broken = png(side, side)
    with pytest.raises(PictureError, match=f"{3 * side * side} pixels together, and at most 50000000"):
        read(broken, broken, broken)
    with pytest.raises(PictureError, match=r"make 134479872 bytes of pixels, and at most 134217728"):
        read(*[b""] * 171, size=[512, 512])


@pytest.mark.parametrize(("memory_mb", "most"), [(0, MAX_PIXELS), (128, 6_400_000), (3_008, MAX_PIXELS)])
def test_a_small_function_decodes_small_pictures(memory_mb: int, most: int) -> None:
    """It would be ended for its memory, and has a tenth of a processor."""
    reading = Pictures(PictureStep("image", "pixels", (6, 4)), library(), memory_mb=memory_mb)
    array = np.empty(1, object)
    array[0] = png(most // 1_000 + 1, 1_000)
    with pytest.raises(PictureError, match=f"at most {most} are decoded"):
        reading.run(None, {"image": array})
    array[0] = png(most // 1_000, 1_000)
    with pytest.raises(PictureError, match="cannot be read"):
        reading.run(None, {"image": array})


def scans(file: bytes, count: int) -> bytes:
    """A progressive JPEG with its last scan so many times more: some bytes each, and a pass over all pixels."""
    start, end = file.rfind(b"\xff\xda"), file.rfind(b"\xff\xd9")
    return file[:end] + file[start:end] * count + file[end:]


@pytest.mark.parametrize(("side", "count"), [(8, 60), (4_000, 10)], ids=["many", "many-for-its-size"])
def test_a_jpeg_of_too_many_scans_is_not_begun(side: int, count: int) -> None:
    file = scans(encoded(Image.new("L", (side, side)), "JPEG", progressive=True), count)
    with pytest.raises(PictureError, match=f"a JPEG of {side} x {side} pixels in [0-9]+ scans, and at most"):
        read(file)


def test_a_progressive_jpeg_is_read() -> None:
    assert read(encoded(drawn(300, 200), "JPEG", progressive=True)).shape == (1, 6, 4, 3)


@pytest.mark.parametrize(("width", "height", "size"), [(225, 300, 224), (900, 1350, 299), (3456, 4608, 336)])
@pytest.mark.parametrize("turned", [False, True], ids=["portrait", "landscape"])
def test_every_frame_is_cut_to_its_middle(width: int, height: int, size: int, turned: bool) -> None:
    """A side times a ratio may be rounded to a hair more than there is."""
    shape = (height, width) if turned else (width, height)
    pixels = read(encoded(Image.new("RGB", shape), "JPEG"), fit="crop", size=[size, size])
    assert pixels.shape == (1, size, size, 3)


def test_what_stands_in_a_jpeg_s_segments_or_behind_it_is_no_scan() -> None:
    """Telephones put a thumbnail before a photo, and a film behind it."""
    film = np.random.default_rng(1).bytes(3_000_000)
    thumbnail = encoded(drawn(9, 9), "JPEG")
    file = encoded(drawn(600, 400), "JPEG", comment=thumbnail)
    assert (file + film).count(b"\xff\xda") > 20
    assert np.array_equal(read(file + film), read(file))


def test_reading_ends_where_a_run_is_told_to() -> None:
    with pytest.raises(PictureError, match="not read in time"):
        read(encoded(drawn(9, 9)), terminate=True)


SEEDS = {
    "png": encoded(drawn(24, 24)),
    "png-palette": encoded(drawn(24, 24, "P")),
    "jpeg": encoded(drawn(24, 24), "JPEG"),
    "jpeg-progressive": encoded(drawn(24, 24), "JPEG", progressive=True),
    "jpeg-exif": encoded(
        drawn(24, 24), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06"
    ),
}


def mutated(file: bytes, dice: random.Random) -> bytes:
    """Bytes changed, cut out, doubled or put in; of a PNG with its sums made right again, half of the time."""
    data = bytearray(file)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(data))
        match dice.randrange(4):
            case 0:
                data[at] = dice.randrange(256)
            case 1:
                del data[at : at + dice.randint(1, 40)]
            case 2:
                data[at:at] = data[at : at + dice.randint(1, 40)]
            case _:
                data[at:at] = dice.randbytes(dice.randint(1, 8))
        data = data or bytearray(b"\0")
    return _summed(bytes(data)) if dice.random() < 0.5 else bytes(data)


def _summed(data: bytes) -> bytes:
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    made, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        made += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(made) + data[at:]


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_the_bytes_are_they_are_pixels_or_refused(seed: str) -> None:
    """600 odd files of each kind: none raises anything else, and none ends the process."""
    dice = random.Random(seed)
    reading = Pictures(PictureStep("image", "pixels", (6, 4)), library())
    refused = 0
    for _ in range(600):
        array = np.empty(1, object)
        array[0] = mutated(SEEDS[seed], dice)
        try:
            (pixels,) = reading.run(None, {"image": array})
            assert pixels.shape == (1, 6, 4, 3)
        except PictureError:
            refused += 1
    assert 0 < refused < 600


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"run": "me.py"}, "has `run`, which it does not know"),
        ({"picture": "a b"}, "`picture` of a picture step is not the name of a tensor"),
        ({"gives": None}, "`gives` of a picture step is not the name of a tensor"),
        ({"size": [6]}, "`size` of a picture step is not a height and a width"),
        ({"size": [6, 0]}, "`size` of a picture step is not a height and a width"),
        ({"size": [6, 5000]}, "`size` of a picture step is not a height and a width"),
        ({"size": [True, 4]}, "`size` of a picture step is not a height and a width"),
        ({"mode": "CMYK"}, "`mode` of a picture step is `CMYK`"),
        ({"resample": ["box"]}, "`resample` of a picture step is"),
        ({"layout": "HWC"}, "`layout` of a picture step is `HWC`"),
        ({"fit": 3}, "`fit` of a picture step is `3`"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_a_step_says_what_there_is_and_nothing_else(said: dict[str, Any], says: str) -> None:
    """Law 12: a picture step is data, from fixed lists."""
    with pytest.raises(InvalidArtifactError) as refused:
        PictureStep.from_json(ASKED | said)
    assert says in str(refused.value)
    assert refused.value.hint
