"""RSA signatures of tokens, verified: RSASSA-PKCS1-v1_5 (RFC 8017, 8.2.2), with nothing but integers.

Verifying handles no secret, so it needs no protection against who measures it. The whole encoded message is
built and compared, never parsed: what forged signatures with small exponents live on is leniency in parsing.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

MIN_BITS = 2048
"""RFC 7518, 3.3: smaller keys must not be used."""

# The hash, and DigestInfo up to where the hash stands (RFC 8017, 9.2, note 1).
_ALGORITHMS = {
    "RS256": ("sha256", bytes.fromhex("3031300d060960864801650304020105000420")),
    "RS384": ("sha384", bytes.fromhex("3041300d060960864801650304020205000430")),
    "RS512": ("sha512", bytes.fromhex("3051300d060960864801650304020305000440")),
}

ALGORITHMS = frozenset(_ALGORITHMS)
"""What an HTTP API's JWT authorizer takes too: RSA and no other."""


@dataclass(frozen=True, slots=True)
class RsaKey:
    """A public key. One that is too small, or no key at all, verifies nothing."""

    n: int
    e: int

    def verifies(self, message: bytes, signature: bytes, algorithm: str) -> bool:
        """Whether ``signature`` was made over ``message`` with the private half of this key."""
        if self.n.bit_length() < MIN_BITS or self.e < 3 or self.e % 2 == 0 or algorithm not in _ALGORITHMS:
            return False
        size = (self.n.bit_length() + 7) // 8
        number = int.from_bytes(signature, "big")
        if len(signature) != size or number >= self.n:
            return False
        name, info = _ALGORITHMS[algorithm]
        hashed = info + hashlib.new(name, message).digest()
        wanted = b"\x00\x01" + b"\xff" * (size - 3 - len(hashed)) + b"\x00" + hashed
        return hmac.compare_digest(pow(number, self.e, self.n).to_bytes(size, "big"), wanted)
