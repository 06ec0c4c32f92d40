"""The newest of things that are numbered upwards: found in a few listings, however many there are.

Claims, bases, shifts and rounds are keys of one prefix that end in a number, and whoever adds one takes the
number after the newest. Up to a thousand keys one listing shows them all. Beyond that the newest is
searched: "does anything stand behind number N" is one listing, and its answer can only be yes, then no.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from model_store.contract.keys import DIGITS, number_in
from model_store.ports import ObjectStore

PAGE_KEYS = 1_000
"""Keys that one listing shows. Source: Amazon S3 API, ``ListObjectsV2``, ``MaxKeys``."""


@dataclass(frozen=True, slots=True)
class Newest:
    """The highest number below a prefix, 0 if there is none, and every key that ends in it, in order."""

    number: int
    keys: tuple[str, ...]


def newest(store: ObjectStore, prefix: str) -> Newest:
    """Find the highest number below ``prefix``: one listing for up to 1,000 keys, 14 for a million.

    Gaps do no harm. What is written meanwhile may or may not be seen, as by any listing. Reads only.
    """
    page = _behind(store, prefix, 0)
    below, above, asked, step = 0, 0, 0, PAGE_KEYS
    while len(page) == PAGE_KEYS or (not page and below):
        if page:
            # The page may have ended between two keys of one number: everything before it is behind us.
            below = number_in(page[-1]) - 1
        else:
            above = asked
        asked = (below + above) // 2 if above else below + step
        step *= 2
        page = _behind(store, prefix, asked)
    number = number_in(page[-1]) if page else 0
    return Newest(number, tuple(key for key in page if number_in(key) == number))


def _behind(store: ObjectStore, prefix: str, number: int) -> list[str]:
    """The first thousand keys above ``number``: one call."""
    # `~` is larger than everything that may follow a number in a key.
    after = f"{prefix}{number:0{DIGITS}d}~" if number else None
    return list(islice(store.keys(prefix, after), PAGE_KEYS))
