"""``model_store.contract.parts``: how a large file is cut."""

import pytest

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, InvalidNameError
from model_store.contract.parts import (
    MAX_PARTS,
    MIN_PART_BYTES,
    PART_BYTES,
    Part,
    Parts,
    part_size_for,
)

A, B, C = (Digest.of(data) for data in (b"aaaa", b"bbbb", b"c"))
PARTS = Parts(4, 9, (A, B, C))


def test_parts_lie_side_by_side_and_the_last_may_be_shorter() -> None:
    assert list(PARTS) == [Part(1, 0, 4, A), Part(2, 4, 4, B), Part(3, 8, 1, C)]
    assert len(PARTS) == 3


@pytest.mark.parametrize(
    ("part_size", "size", "count"), [(4, 9, 2), (4, 8, 3), (0, 9, 3), (-1, 9, 3), (4, 0, 1)]
)
def test_parts_that_are_not_the_file_are_refused(part_size: int, size: int, count: int) -> None:
    """Law 2: every byte of the file is in exactly one part."""
    with pytest.raises(IntegrityError, match=f"are not a file of {size} bytes"):
        Parts(part_size, size, (A,) * count)


def test_parts_are_read_as_they_were_written() -> None:
    assert Parts.from_json(PARTS.as_json(), 9) == PARTS


def test_a_part_whose_digest_is_none_is_refused() -> None:
    with pytest.raises(InvalidNameError):
        Parts.from_json({"bytes": 4, "sha256": ["nothing"]}, 4)


def test_a_file_of_twenty_gigabytes_fits_in_what_one_upload_takes() -> None:
    """Law 8: what S3 would refuse hours into an upload is chosen right before it begins."""
    for size in (20 * 10**9, 78 * 1024**3, 79 * 1024**3, 5 * 1024**4):
        part_size = part_size_for(size)
        assert part_size >= MIN_PART_BYTES
        assert -(-size // part_size) <= MAX_PARTS
    assert part_size_for(20 * 10**9) == PART_BYTES


def test_the_cut_depends_on_the_size_alone() -> None:
    assert part_size_for(PART_BYTES * MAX_PARTS) == PART_BYTES
    assert part_size_for(PART_BYTES * MAX_PARTS + 1) == 2 * PART_BYTES
