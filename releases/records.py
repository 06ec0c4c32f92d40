"""What the release room writes down, each as canonical JSON under a write-once key.

* ``Base``: the configuration a deploy gave a function; a release adds a model to it.
* ``Prepared``: this model version, on that base, is this Lambda version, and passed its checks.
* ``Plan``: a move of an alias that is about to happen. Written before the move, so that the ledger
  line can be completed by anybody after a crash.
* ``Line``: a move that happened. Line N of an alias says what the alias means from N on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from model_store.contract import environment as env
from model_store.contract.errors import IntegrityError
from model_store.contract.placement import DEFAULT_EPHEMERAL_MB
from releases.ports import FunctionConfig

Kind = Literal["release", "rollback", "rebase", "retire", "shift", "stop", "alarm", "shadow"]
"""How an alias moved. No step back or forth is ``rebase`` (the same model version on a new base), and what
happens on the way of a shift: ``shift`` (another version answers a share), ``stop`` and, unless it
restores a line, ``alarm`` (the share is taken back). ``shadow``: a share is mirrored to another version,
which answers nobody; ``stop`` ends that too."""

DEFAULT_ROLLBACK_DEPTH = 2
"""Steps back that are kept ready on today's base unless the catalog says otherwise."""

UNRELEASED = 0
"""The model version of a function that carries no model and answers 503."""


def canonical(body: dict[str, Any] | list[dict[str, Any]]) -> bytes:
    """Equal records are equal bytes."""
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def timestamp(seconds: float) -> str:
    """UTC, ISO 8601 with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def moment(at: str) -> float:
    """Seconds since 1970 of a ``timestamp``."""
    return datetime.fromisoformat(at).timestamp()


@dataclass(frozen=True, slots=True)
class Base:
    """The absolute configuration of ``$LATEST`` that a deploy left: never a difference to something."""

    function: str
    fingerprint: str
    code_sha256: str
    layers: tuple[str, ...]
    environment: dict[str, str]
    memory_mb: int
    timeout_s: int
    runtime: str
    handler: str
    role: str
    architecture: str
    snap_start: str
    provisioned: int = 0
    """Environments that are kept started. No part of what a Lambda version is."""
    ephemeral_mb: int = DEFAULT_EPHEMERAL_MB
    """MiB of ``/tmp``, where a version that is read from S3 at start is put."""
    rollback_depth: int = DEFAULT_ROLLBACK_DEPTH
    """So many steps back are kept ready on it. No part of what a Lambda version is."""
    waits: bool = False
    """Left by a deploy that moves nothing itself: the wave of a rebase does, and accepts it."""

    @classmethod
    def of(
        cls,
        config: FunctionConfig,
        *,
        fingerprint: str,
        layers: tuple[str, ...],
        environment: dict[str, str],
        provisioned: int = 0,
        rollback_depth: int = DEFAULT_ROLLBACK_DEPTH,
    ) -> Base:
        """The base that ``config`` is, with the layers and environment that the deploy declared."""
        return cls(
            function=config.function,
            fingerprint=fingerprint,
            code_sha256=config.code_sha256,
            layers=layers,
            environment=dict(environment),
            memory_mb=config.memory_mb,
            timeout_s=config.timeout_s,
            runtime=config.runtime,
            handler=config.handler,
            role=config.role,
            architecture=config.architecture,
            snap_start=config.snap_start,
            provisioned=provisioned,
            ephemeral_mb=config.ephemeral_mb,
            rollback_depth=rollback_depth,
        )

    @property
    def hash(self) -> str:
        """16 characters that name this base: equal Lambda versions stand on one base.

        So the fingerprint is left out, and what is kept started of them. A ``/tmp`` that nobody asked for
        is left out too: bases that were recorded before there was a choice keep their names.
        """
        body = asdict(self)
        for said in ("fingerprint", "provisioned", "rollback_depth", "waits"):
            del body[said]
        if self.ephemeral_mb == DEFAULT_EPHEMERAL_MB:
            del body["ephemeral_mb"]
        return hashlib.sha256(canonical(body)).hexdigest()[:16]

    def differences(
        self, config: FunctionConfig, *, layers: tuple[str, ...], environment: dict[str, str]
    ) -> list[str]:
        """Every field in which ``config`` is not this base with these layers and this environment."""
        asked: dict[str, Any] = {
            "code_sha256": self.code_sha256,
            "layers": layers,
            "environment": environment,
            "memory_mb": self.memory_mb,
            "timeout_s": self.timeout_s,
            "runtime": self.runtime,
            "handler": self.handler,
            "role": self.role,
            "architecture": self.architecture,
            "snap_start": self.snap_start,
            "ephemeral_mb": self.ephemeral_mb,
        }
        found = {name: getattr(config, name) for name in asked}
        return [
            f"{name} is `{found[name]}`, asked for `{asked[name]}`"
            for name in asked
            if found[name] != asked[name]
        ]

    def to_json(self) -> bytes:
        """What is as it was before there was a choice is left out, so that an earlier Switchyard reads it."""
        body = asdict(self)
        if not self.waits:
            del body["waits"]
        if self.rollback_depth == DEFAULT_ROLLBACK_DEPTH:
            del body["rollback_depth"]
        return canonical(body)

    @classmethod
    def from_json(cls, data: bytes) -> Base:
        body = json.loads(data)
        return cls(**{**body, "layers": tuple(body["layers"])})


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model version on a base, as a Lambda version that passed its checks.

    Without ``model_layer`` it reads the model from S3 when it starts.
    """

    model: str
    version: int
    digest: str
    base: str
    lambda_version: str
    model_layer: str = ""
    at: str = ""
    endpoint: str = ""
    """The one that it pins; empty for a version that runs the model itself."""

    @classmethod
    def of(cls, config: FunctionConfig, *, model: str) -> Prepared:
        """What a published Lambda version is, by its own account."""
        variables = config.environment
        return cls(
            model=model,
            version=int(variables.get(env.VERSION, UNRELEASED)),
            digest=variables.get(env.DIGEST, ""),
            base=variables.get(env.BASE, ""),
            lambda_version=config.version,
            endpoint=variables.get(env.ENDPOINT, ""),
        )

    def to_json(self) -> bytes:
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Prepared:
        return cls(**json.loads(data))


@dataclass(frozen=True, slots=True)
class Plan:
    """A move about to be made: everything that its ledger line will say but the line's number."""

    id: str
    model: str
    alias: str
    kind: Kind
    version: int
    digest: str
    lambda_version: str
    base: str
    from_version: int
    from_lambda_version: str
    reason: str
    by: str
    at: str
    restores: int | None = None
    shift: str = ""
    """The shift that this move belongs to or ends."""
    toward: int | None = None
    """The model version that answers a share of the calls from now on, or that they are mirrored to."""
    weights: dict[str, float] = field(default_factory=dict)
    """Its Lambda version (a shadow's: that of the mirror) and its share; empty for every other kind."""
    forced: bool = False
    """Glass was broken: no check, no alarm and no running shift was asked."""

    def to_json(self) -> bytes:
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Plan:
        return cls(**json.loads(data))


LINE_FORMAT = 2
"""The format of a ledger's line. A line without a number has format 1; both say the same."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a ledger: the plan that was carried out, at its number."""

    line: int
    plan: Plan

    @property
    def version(self) -> int:
        return self.plan.version

    @property
    def outcome(self) -> str:
        """What came of the plan. A move that did not happen has no line."""
        if self.plan.kind == "shadow":
            return "share mirrored"
        if self.plan.weights:
            return "share given"
        if self.plan.kind == "stop" or (self.plan.kind == "alarm" and self.plan.restores is None):
            return "share taken back"
        return "moved"

    def as_json(self) -> dict[str, Any]:
        """What is written down; the digest is that of the plan as it was stored before the move."""
        digest = hashlib.sha256(self.plan.to_json()).hexdigest()
        written = {"format": LINE_FORMAT, "line": self.line, **asdict(self.plan)}
        return {**written, "outcome": self.outcome, "plan_digest": digest}

    def to_json(self) -> bytes:
        return canonical(self.as_json())

    @classmethod
    def from_json(cls, data: bytes) -> Line:
        return cls.of(json.loads(data))

    @classmethod
    def of(cls, body: dict[str, Any]) -> Line:
        """Read what ``as_json`` wrote, now or in any earlier format; refuse a later one by its number."""
        form = int(body.pop("format", 1))
        if form > LINE_FORMAT:
            raise IntegrityError(
                f"a line of the ledger has format {form}, this Switchyard reads up to {LINE_FORMAT}",
                hint="Update Switchyard to the version that wrote it.",
            )
        number = int(body.pop("line"))
        for derived in ("outcome", "plan_digest"):
            body.pop(derived, None)
        return cls(number, Plan(**body))


def is_shift_of(line: Line, shift: str) -> bool:
    """Whether ``line`` gave a share to another version on behalf of ``shift``."""
    return line.plan.kind == "shift" and line.plan.shift == shift


@dataclass(frozen=True, slots=True)
class Note:
    """What an alias carries in its description, set in the same atomic call that moves it.

    It orders the ledger: the compare-and-swap that moved the alias also claimed the line's number.
    """

    line: int
    plan: str
    version: int

    def to_text(self) -> str:
        """At most 256 characters, Lambda's limit for descriptions."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Note | None:
        """``None`` for a description that the controller did not write."""
        try:
            body = json.loads(text)
            return cls(int(body["line"]), str(body["plan"]), int(body["version"]))
        except (ValueError, TypeError, KeyError):
            return None
