"""What bounds a request to this function. Callers find it in the model's metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from model_store.contract import environment
from model_store.contract.errors import IntegrityError

MEMORY_VARIABLE = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"


class Limits(NamedTuple):
    """``None`` where nothing of ours bounds it.

    ``max_payload_bytes`` counts what Lambda carries, the same both ways: a JSON body as it is, a binary
    one as base64.
    """

    max_payload_bytes: int = environment.MAX_BODY_BYTES
    max_batch: int | None = None
    deadline_ms: int | None = None
    memory_mb: int | None = None
    handoff_max_bytes: int | None = None
    explain_max_parts: int | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Limits:
        """Read what ``cdk deploy`` and Lambda say. Raises ``IntegrityError`` for what is no number."""
        timeout_s = _number(environ, environment.TIMEOUT)
        limits = cls(
            max_batch=_number(environ, environment.MAX_BATCH),
            deadline_ms=timeout_s * 1000 if timeout_s else None,
            memory_mb=_number(environ, MEMORY_VARIABLE),
            explain_max_parts=environment.EXPLAIN_MAX_PARTS if environment.EXPLAIN in environ else None,
        )
        if environ.get(environment.HANDOFF_BUCKET):
            return limits._replace(handoff_max_bytes=limits.max_object_bytes)
        return limits

    @property
    def max_binary_bytes(self) -> int:
        """The largest body with binary data: base64 makes four bytes of three."""
        return self.max_payload_bytes // 4 * 3

    @property
    def max_object_bytes(self) -> int:
        """The largest request or answer that lies in S3: an eighth of the memory, which has to hold the
        bytes, the arrays made of them, what the model makes of those, and the answer's bytes."""
        return (self.memory_mb or 512) * 1_048_576 // 8

    def as_parameters(self) -> dict[str, int]:
        """As the metadata say it; what is not bounded is left out."""
        named = {
            "max_payload_bytes": self.max_payload_bytes,
            "max_binary_bytes": self.max_binary_bytes,
            "max_batch": self.max_batch,
            "deadline_ms": self.deadline_ms,
            "memory_mb": self.memory_mb,
            "handoff_max_bytes": self.handoff_max_bytes,
            "explain_max_parts": self.explain_max_parts,
        }
        return {name: value for name, value in named.items() if value is not None}


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name) or ""
    if not text:
        return None
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise IntegrityError(
        f"the environment variable `{name}` is `{text}`, and has to be a whole number above 0"
    )
