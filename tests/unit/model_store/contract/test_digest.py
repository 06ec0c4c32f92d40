"""``model_store.contract.digest``: a sha256 is a type of its own."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.contract.digest import CHUNK_BYTES, Digest
from model_store.contract.errors import IntegrityError, InvalidNameError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_it_is_the_sha256_of_the_standard() -> None:
    """Source: FIPS 180-4, example of `abc`."""
    assert Digest.of(b"abc") == Digest(ABC)
    assert str(Digest(ABC)) == f"sha256:{ABC}"
    assert Digest(ABC).short == ABC[:12]


@pytest.mark.parametrize(
    "text", ["", ABC[:-1], ABC + "0", ABC.upper(), f"sha256:{ABC}", "../" + ABC[3:], ABC + "\n"]
)
def test_what_is_no_digest_cannot_be_made(text: str) -> None:
    with pytest.raises(InvalidNameError):
        Digest(text)


@given(st.lists(st.binary(max_size=20)))
def test_however_the_bytes_are_cut_the_digest_is_the_same(chunks: list[bytes]) -> None:
    assert Digest.of_chunks(chunks) == Digest.of(b"".join(chunks))


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_a_file_is_hashed_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    assert Digest.of_file(tmp_path / "file").hex == hashlib.sha256(b"x" * size).hexdigest()


def test_verifying_returns_what_it_was_given() -> None:
    """Law 2: checking and using are one expression."""
    data = b"abc"
    assert Digest(ABC).verify(data) is data


def test_other_bytes_are_refused_with_both_digests(tmp_path: Path) -> None:
    """Law 2: a mismatch is refused."""
    (tmp_path / "model.onnx").write_bytes(b"abd")
    with pytest.raises(IntegrityError, match="ba7816bf8f01"):
        Digest(ABC).verify(b"abd")
    with pytest.raises(
        IntegrityError, match=r"`model.onnx` should have sha256 ba7816bf8f01… and have a52d159f262b…"
    ):
        Digest(ABC).verify_file(tmp_path / "model.onnx")


def test_a_good_file_is_returned(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert Digest(ABC).verify_file(tmp_path / "file") == tmp_path / "file"
