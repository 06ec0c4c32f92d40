"""``functions.authorizer.signatures``: what another implementation signed is verified, and nothing else."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from functions.authorizer.signatures import ALGORITHMS, RsaKey

HASHES: dict[str, hashes.HashAlgorithm] = {
    "RS256": hashes.SHA256(),
    "RS384": hashes.SHA384(),
    "RS512": hashes.SHA512(),
}
MESSAGE = b"header.claims"


def public(key: rsa.RSAPrivateKey) -> RsaKey:
    numbers = key.public_key().public_numbers()
    return RsaKey(numbers.n, numbers.e)


@pytest.mark.parametrize("algorithm", sorted(HASHES))
def test_a_signature_of_the_key_is_verified_under_its_own_algorithm_only(
    algorithm: str, private_key: rsa.RSAPrivateKey
) -> None:
    signature = private_key.sign(MESSAGE, padding.PKCS1v15(), HASHES[algorithm])
    good = {other for other in ALGORITHMS if public(private_key).verifies(MESSAGE, signature, other)}
    assert good == {algorithm}
    assert not public(private_key).verifies(MESSAGE + b".", signature, algorithm)


def test_a_signature_of_another_key_another_length_or_another_scheme_is_not(
    private_key: rsa.RSAPrivateKey,
) -> None:
    key = public(private_key)
    signature = private_key.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
    for wrong in (
        other.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256()),
        private_key.sign(MESSAGE, pss, hashes.SHA256()),
        signature[:-1],
        b"\0" + signature,
        (int.from_bytes(signature, "big") + key.n).to_bytes(257, "big")[-256:],
        b"",
    ):
        assert not key.verifies(MESSAGE, wrong, "RS256")


def test_a_forgery_that_leans_on_a_small_exponent_is_refused() -> None:
    """Bleichenbacher 2006: with e = 3 a cube root of a block whose end nobody looks at is a signature."""
    key = rsa.generate_private_key(public_exponent=3, key_size=2048)
    info = bytes.fromhex("3031300d060960864801650304020105000420")
    digest = hashes.Hash(hashes.SHA256())
    digest.update(MESSAGE)
    wanted = b"\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x00" + info + digest.finalize()
    low = int.from_bytes(wanted.ljust(256, b"\x00"), "big")
    root = 1 << (low.bit_length() // 3 + 1)
    while root**3 > low:  # Newton's way down to the cube root
        root = (2 * root + low // (root * root)) // 3 if root**3 - low > root * root else root - 1
    forged = (root + 1).to_bytes(256, "big")
    assert pow(root + 1, 3).to_bytes(256, "big").startswith(wanted)
    assert not public(key).verifies(MESSAGE, forged, "RS256")


@pytest.mark.parametrize(("n", "e"), [(0, 0), (1 << 1024, 65537), ((1 << 2048) - 1, 1), ((1 << 2048) - 1, 2)])
def test_what_is_no_key_verifies_nothing(n: int, e: int) -> None:
    assert not RsaKey(n, e).verifies(MESSAGE, bytes(256), "RS256")


@given(signature=st.binary(min_size=256, max_size=256))
def test_bytes_by_chance_are_no_signature(signature: bytes) -> None:
    assert not RsaKey((1 << 2048) - 159, 65537).verifies(MESSAGE, signature, "RS256")
