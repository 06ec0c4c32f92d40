"""Divide rows into train, validation and test, by seed; and look afterwards whether one leaks into another.

Which part a row belongs to follows from the seed and the row's name alone (its place, or a digest of what it
holds), by sha256: no generator's stream, which libraries change between releases, has a say.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from training.data.declared import PARTS, Split
from training.errors import DataError


def parts_of(
    split: Split,
    *,
    rows: int,
    classes: Sequence[Any] | None,
    groups: Sequence[Any] | None,
    names: Sequence[str] | None = None,
) -> list[str]:
    """Return the part of each row. ``names`` are what rows are drawn by, instead of their places.

    With ``classes`` each class is divided by the shares, with ``groups`` each group goes whole into one
    part. Raises ``DataError`` when a part stays empty.
    """
    if names is None:
        names = [str(row) for row in range(rows)]
    if groups is not None:
        found = _by_groups(split, groups)
    elif classes is not None:
        found = [""] * rows
        for one in sorted(set(classes), key=str):
            own = [row for row in range(rows) if classes[row] == one]
            _divide(split, own, names, found)
    else:
        found = [""] * rows
        _divide(split, list(range(rows)), names, found)
    counts = Counter(found)
    for part in PARTS:
        if not counts[part]:
            raise DataError(
                f"{rows} rows leave the part `{part}` empty", hint="Give more rows, or larger shares."
            )
    return found


def _divide(split: Split, rows: list[int], names: Sequence[str], found: list[str]) -> None:
    drawn = sorted(rows, key=lambda row: _draw(split.seed, names[row]))
    train = round(len(drawn) * split.train)
    validation = train + round(len(drawn) * split.validation)
    for place, row in enumerate(drawn):
        found[row] = PARTS[0] if place < train else PARTS[1] if place < validation else PARTS[2]


def _by_groups(split: Split, groups: Sequence[Any]) -> list[str]:
    sizes = Counter(groups)
    filled = dict.fromkeys(PARTS, 0)
    home: dict[Any, str] = {}
    for group in sorted(sizes, key=lambda group: _draw(split.seed, str(group))):
        # To the part that is furthest below its share.
        part = max(PARTS, key=lambda part: split.share(part) * len(groups) - filled[part])
        home[group] = part
        filled[part] += sizes[group]
    return [home[group] for group in groups]


def _draw(seed: int, what: str) -> bytes:
    return hashlib.sha256(f"{seed}/{what}".encode()).digest()


def check_leaks(parts: Sequence[str], *, inputs: Sequence[bytes], groups: Sequence[Any] | None) -> None:
    """Raise ``DataError`` when equal inputs, or rows of one group, stand in more than one part.

    Looks at the result and not at how it was made: a part that the source itself names is held to it too.
    """
    shared = _shared(parts, inputs)
    if shared:
        raise DataError(
            f"{shared} rows of one part stand in another part too, so what is measured there was trained on",
            hint='Add `[[clean]]` with `step = "drop_duplicates"`.',
        )
    torn = _shared(parts, groups) if groups is not None else 0
    if torn:
        raise DataError(
            f"{torn} groups have rows in more than one part",
            hint="Split by `columns.group` and without `split.column`, or correct that column.",
        )


def _shared(parts: Sequence[str], marks: Sequence[Any]) -> int:
    seen: dict[Any, set[str]] = {}
    for part, mark in zip(parts, marks, strict=True):
        seen.setdefault(mark, set()).add(part)
    return sum(len(homes) > 1 for homes in seen.values())
