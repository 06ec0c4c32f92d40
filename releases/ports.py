"""What the release controller needs from Lambda, and from time.

Laws of ``Functions``, checked against every adapter in ``tests/contract/test_functions.py``:

* A published version never changes; its number is never used again while the function lives.
* ``publish`` publishes only the revision and the code it was told; otherwise ``LostRaceError``.
* ``move_alias`` is a compare-and-swap on the alias's revision: of two callers that read the same
  revision exactly one succeeds, the other gets ``LostRaceError`` and changes nothing.
* Every ``move_alias`` leaves the alias on exactly one version (no weights), and sets the note with it.
* ``weigh_alias`` is the same compare-and-swap. It sets weights and note and never moves the alias.
* An alias cannot point at a version that does not exist, nor give it a share.
* ``invoke`` reports which version ran and what it logged.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from model_store.contract.placement import DEFAULT_EPHEMERAL_MB

LATEST = "$LATEST"


@dataclass(frozen=True, slots=True)
class FunctionConfig:
    """What Lambda reports about ``$LATEST`` or about one published version.

    ``memory_mb`` and ``ephemeral_mb`` (``/tmp``) in MiB, ``timeout_s`` in seconds. ``state`` is Pending,
    Active, Inactive or Failed; ``update`` (of ``$LATEST``) is InProgress, Successful or Failed.
    Source: Lambda API reference, ``FunctionConfiguration``.
    """

    function: str
    version: str
    revision: str
    code_sha256: str
    layers: tuple[str, ...]
    environment: dict[str, str]
    memory_mb: int
    timeout_s: int
    runtime: str
    handler: str
    role: str
    architecture: str
    snap_start: str = "None"
    state: str = "Active"
    state_reason: str = ""
    update: str = "Successful"
    update_reason: str = ""
    ephemeral_mb: int = DEFAULT_EPHEMERAL_MB


@dataclass(frozen=True, slots=True)
class AliasState:
    """Where an alias points. ``weights`` are the shares that other versions take, normally none."""

    function: str
    alias: str
    version: str
    revision: str
    note: str = ""
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Invocation:
    """What one synchronous invocation gave back."""

    payload: Any
    executed_version: str
    error: str | None = None
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many requests may be answered at once: by this function alone if ``reserved``, else shared."""

    account: int
    unreserved: int
    reserved: int | None = None


@dataclass(frozen=True, slots=True)
class Provisioned:
    """Environments of one Lambda version that are kept started. ``state`` is as Lambda's ``Status``.

    IN_PROGRESS, READY or FAILED; a failed one says why.
    """

    version: str
    requested: int
    state: str = "READY"
    reason: str = ""


class Functions(Protocol):
    """Lambda, as far as releases need it. Every foreign error arrives as a ``ReleaseError``."""

    def config(self, function: str, qualifier: str | None = None) -> FunctionConfig | None:
        """``None`` if the function, or that version of it, does not exist."""

    def configure(
        self, function: str, *, layers: tuple[str, ...], environment: dict[str, str], revision: str
    ) -> None:
        """Start setting ``$LATEST``; done when ``config().update`` is no longer InProgress."""

    def publish(self, function: str, *, description: str, code_sha256: str, revision: str) -> FunctionConfig:
        """Make an immutable version of ``$LATEST``; equal to the newest one, that one is returned."""

    def publish_layer(self, name: str, archive: bytes, *, description: str, architecture: str) -> str:
        """Publish a zip as a layer version and return its ARN."""

    def layer_exists(self, arn: str) -> bool: ...

    def alias(self, function: str, alias: str) -> AliasState | None: ...

    def aliases(self, function: str) -> list[AliasState]:
        """All aliases of the function; none if it does not exist."""

    def create_alias(self, function: str, alias: str, *, version: str, note: str) -> AliasState:
        """Raise ``LostRaceError`` if it exists already."""

    def move_alias(
        self, function: str, alias: str, *, version: str, note: str, revision: str
    ) -> AliasState: ...

    def weigh_alias(
        self, function: str, alias: str, *, weights: dict[str, float], note: str, revision: str
    ) -> AliasState:
        """Let one other version answer a share of the calls, more than 0 and less than 1."""

    def concurrency(self, function: str) -> Concurrency: ...

    def provision(self, function: str, version: str, executions: int) -> None:
        """Keep so many environments of a published version started; it takes minutes to be READY."""

    def unprovision(self, function: str, version: str) -> None:
        """A no-op if none are. The version itself stays as it is."""

    def provisioned(self, function: str) -> dict[str, Provisioned]:
        """What is kept started, by Lambda version."""

    def invoke(self, function: str, qualifier: str, event: dict[str, Any]) -> Invocation: ...


@dataclass(frozen=True, slots=True)
class EndpointState:
    """An endpoint of one version of a heavy model, as the service that runs it reports it.

    ``status`` is SageMaker's word, for every target: Creating, InService, Updating, Failed, Deleting and so
    on. ``environment`` is what its container was told when it was made; it logs into ``log_group``.
    """

    name: str
    status: str
    reason: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    instance_type: str = ""
    instances: int = 0
    log_group: str = ""


class Endpoints(Protocol):
    """What runs heavy models, as far as releases need it: to look, never to change. Foreign errors are
    translated.

    Laws, checked in ``tests/contract/test_release_endpoints.py``: an endpoint that is not there is
    ``None``; what its container was told is what it was *made* with, so an endpoint that was silently put
    back tells so; ``status`` says what ``describe`` does, with fewer calls.
    """

    def describe(self, name: str) -> EndpointState | None: ...

    def status(self, name: str) -> str | None: ...

    def names(self, prefix: str) -> list[str]:
        """The endpoints whose name begins so, in order."""


class GrpcCalls(Protocol):
    """Where a load balancer leads gRPC calls that name no endpoint. Every foreign error is translated.

    Laws, checked in ``tests/contract/test_grpc_calls.py``: what is led can be read back, by endpoint, with
    shares that add up to 1; led to nobody is ``{}``; an endpoint that the load balancer does not know is
    ``UnprovisionedError`` and changes nothing; aliases do not touch each other; leading twice is leading
    once. A model that no load balancer carries gRPC for is ``None``, and leading it changes nothing.
    """

    def led(self, model: str, alias: str) -> dict[str, float] | None:
        """The endpoints that calls go to at the moment, each with its share."""

    def lead(self, model: str, alias: str, shares: Mapping[str, float]) -> None:
        """Send calls to these endpoints from now on; to nobody if there are none."""


Statistic = Literal["Sum", "Average", "Maximum", "SampleCount", "p90", "p99"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One series of CloudWatch: exactly these dimensions, no fewer and no more."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm on one metric: it fires when ``needed`` of the last ``of`` periods reach the threshold.

    Periods without data do not count against a version.
    """

    name: str
    description: str
    metric: Metric
    statistic: Statistic
    threshold: float
    period_s: int
    needed: int = 2
    of: int = 3


@dataclass(frozen=True, slots=True)
class AlarmState:
    """An alarm that exists: whether it is firing, and its threshold."""

    firing: bool
    threshold: float


class Monitoring(Protocol):
    """CloudWatch, as far as releases need it. Every foreign error arrives as a ``ReleaseError``.

    Laws, checked in ``tests/contract/test_monitoring.py``: a reading sees its own metric only; putting
    an alarm twice is putting it once; deleting what is not there is harmless; an alarm tells the
    operations function each time it begins to fire, and once more after ``rearm`` if it still does.
    """

    def read(
        self, asked: Sequence[tuple[Metric, Statistic]], *, since: float, until: float, period_s: int
    ) -> list[list[float]]:
        """For each metric its values of the periods with data, oldest first."""

    def put_alarm(self, alarm: Alarm) -> None: ...

    def alarms(self, prefix: str) -> dict[str, AlarmState]:
        """The alarms whose name begins so."""

    def delete_alarms(self, names: Sequence[str]) -> None: ...

    def rearm(self, name: str, reason: str) -> None:
        """Declare the alarm quiet, so that it fires anew if its metric still calls for it."""


class Journal(Protocol):
    """What functions log, as far as releases read it. Every foreign error arrives as a ``ReleaseError``.

    Laws, checked in ``tests/contract/test_journal.py``: only lines that are JSON objects and have every
    wanted member with exactly that value; oldest first, the newest ``most`` of them; a function that has
    logged nothing, or is not there, has no lines.
    """

    def lines(
        self, function: str, wanted: Mapping[str, str | bool], *, since: float, until: float, most: int
    ) -> list[dict[str, Any]]:
        """What ``function`` wrote from ``since`` until before ``until``, seconds since 1970."""


class Executions(Protocol):
    """Step Functions, as far as releases need it: one named execution for each shift.

    Laws, checked in ``tests/contract/test_executions.py``: starting a name twice starts it once;
    ending what has ended, or never was, is harmless.
    """

    def start(self, name: str, at: dict[str, Any]) -> None: ...

    def running(self, name: str) -> bool: ...

    def end(self, name: str, reason: str) -> None: ...


class Clock(Protocol):
    """Time, so that tests can hold it still."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
