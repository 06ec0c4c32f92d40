"""Read rows from where ``data.toml`` says they are, into one table. Reading changes nothing."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from PIL import Image, UnidentifiedImageError

from model_store.contract.environment import TRAINING_BUCKET
from model_store.ports import ObjectStore
from training.data.captured import rows_captured
from training.data.declared import (
    CapturedTraffic,
    CsvFiles,
    Declared,
    ImageFolder,
    ParquetFiles,
    S3Prefix,
    SklearnSet,
)
from training.errors import DataError

TARGET = "target"
"""The column that a set of scikit-learn has its answer in, and an image folder the name of the class."""


class Bucket(Protocol):
    """What is asked of S3: the keys below a prefix, and the bytes of one."""

    def keys(self, prefix: str) -> list[str]: ...

    def get(self, key: str) -> bytes: ...


OpenBucket = Callable[[str], Bucket]
OpenStage = Callable[[str], ObjectStore]
"""What opens the place where a stage keeps its models' requests."""


def rows(
    declared: Declared, folder: Path, *, bucket: OpenBucket | None = None, stage: OpenStage | None = None
) -> pl.DataFrame:
    """Return every row of the source, before any cleaning. ``folder`` is what relative paths start from.

    Raises ``DataError`` for files that are not there or cannot be read, and for a source without rows.
    """
    source = declared.source
    try:
        match source:
            case CsvFiles():
                found = _together(
                    pl.read_csv(path, separator=source.separator) for path in _paths(folder, source.path)
                )
            case ParquetFiles():
                found = _together(pl.read_parquet(path) for path in _paths(folder, source.path))
            case ImageFolder():
                found = _images(folder / source.path, source)
            case S3Prefix():
                found = _objects(source, bucket or _s3)
            case SklearnSet():
                found = _sklearn(source)
            case CapturedTraffic():
                kept = (stage or _stage)(source.stage)
                found = rows_captured(source, kept, declared.columns, now=datetime.now(UTC))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"the source of `{declared.name}` cannot be read: {error}") from error
    if found.is_empty():
        raise DataError(f"the source of `{declared.name}` has no rows")
    return found


def _together(tables: Iterable[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(list(tables), how="vertical_relaxed")


def _paths(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern)) if any(mark in pattern for mark in "*?[") else [folder / pattern]
    if not found or not all(path.is_file() for path in found):
        raise DataError(
            f"there is no file `{pattern}` in `{folder}`",
            hint="Write `source.path` relative to the folder of `data.toml`.",
        )
    return found


def _images(folder: Path, source: ImageFolder) -> pl.DataFrame:
    pictures = sorted(path for path in folder.glob("*/*") if path.is_file())
    if not pictures:
        raise DataError(
            f"`{folder}` has no pictures", hint="Give one folder for each class, with its pictures in it."
        )
    pixels = np.stack([_pixels(path, source) for path in pictures])
    table = pl.DataFrame(pixels, schema=[f"pixel_{number:04}" for number in range(pixels.shape[1])])
    return table.with_columns(pl.Series(TARGET, [path.parent.name for path in pictures]))


def _pixels(path: Path, source: ImageFolder) -> Any:
    try:
        with Image.open(path) as picture:
            grey_or_colour = picture.convert("L" if source.channels == 1 else "RGB")
            sized = grey_or_colour.resize((source.width, source.height), Image.Resampling.BILINEAR)
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"`{path}` is not a picture that can be read") from error
    values = np.asarray(sized, dtype=np.float32)
    # Channels first, as networks take them.
    return (values if source.channels == 1 else values.transpose(2, 0, 1)).ravel()


def _objects(source: S3Prefix, bucket: OpenBucket) -> pl.DataFrame:
    name, _, prefix = source.prefix.removeprefix("s3://").partition("/")
    opened = bucket(name)
    keys = sorted(key for key in opened.keys(prefix) if key.endswith(f".{source.format}"))
    if not keys:
        raise DataError(f"there is no `.{source.format}` object below `{source.prefix}`")
    read = pl.read_csv if source.format == "csv" else pl.read_parquet
    return _together(read(io.BytesIO(opened.get(key))) for key in keys)


def _s3(name: str) -> Bucket:
    from training.data.s3 import S3Bucket

    name = name or os.environ.get(TRAINING_BUCKET, "")
    if not name:
        raise DataError(
            "the source names no bucket, and no stage with training is chosen",
            hint="Write `s3://BUCKET/…`, or add `[stages.NAME.training]` to `models.toml` and deploy.",
        )
    return S3Bucket(name)


def _stage(name: str) -> ObjectStore:
    from training.data.s3 import kept_requests

    return kept_requests(name)


def _sklearn(source: SklearnSet) -> pl.DataFrame:
    from sklearn import datasets

    if source.set in ("regression", "classification"):
        inputs, answers = getattr(datasets, f"make_{source.set}")(**source.options)
    else:
        inputs, answers = getattr(datasets, f"load_{source.set}")(return_X_y=True)
    word = "pixel" if source.set == "digits" else "feature"
    table = pl.DataFrame(
        np.asarray(inputs), schema=[f"{word}_{number:04}" for number in range(inputs.shape[1])]
    )
    return table.with_columns(pl.Series(TARGET, answers))
