"""What ``models.toml`` may say. Limits are AWS's own, so that a deploy does not find them out.

Sources: Lambda quotas (memory 128 to 10240 MB), HTTP API quotas (integration timeout at most 30 s,
not adjustable), CloudWatch Logs ``PutRetentionPolicy`` (allowed retention days).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from catalog import heavy
from catalog.alarms import Alarms
from catalog.capture import Capture
from catalog.front import Callers, Rest
from catalog.messages import Messages
from catalog.mistakes import between, mistake
from catalog.training import Pipeline, Training
from model_store.contract.deployment import DEFAULT_ALIAS, check_stage
from model_store.contract.errors import CatalogError, InvalidNameError
from model_store.contract.names import check_alias, check_name
from model_store.contract.placement import DEFAULT_EPHEMERAL_MB, MAX_EPHEMERAL_MB, SNAPSTART_EPHEMERAL_MB

TARGETS = ("lambda", "sagemaker", "ec2")
RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922)

_ACCOUNT = re.compile(r"[0-9]{12}")
_PRINCIPAL = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[\w+=,.@/-]+")
_BUCKET = re.compile(r"arn:aws[a-z-]*:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")


def _name(check: Callable[[str], str]) -> AfterValidator:
    """Hold a text to one of the contract's names and keep the contract's words about it."""

    def checked(value: str) -> str:
        try:
            return check(value)
        except InvalidNameError as error:
            raise mistake(
                f"is not a name that works: {error}", error.hint or "Choose another name."
            ) from error

    return AfterValidator(checked)


def _account(value: Any) -> Any:
    if isinstance(value, str) and _ACCOUNT.fullmatch(value):
        return value
    raise mistake(
        f"is `{value}`, not an AWS account",
        "Write its 12 digits as text, in quotes: a number would lose leading zeros.",
    )


def _region(value: str) -> str:
    if _REGION.fullmatch(value):
        return value
    raise mistake(f"is `{value}`, not an AWS region", "Write it as AWS does, for example `eu-central-1`.")


def _retention(value: int) -> int:
    if value in RETENTION_DAYS:
        return value
    raise mistake(
        f"is `{value}`, which CloudWatch Logs does not offer",
        f"Write one of {', '.join(str(days) for days in RETENTION_DAYS)}.",
    )


def _alarm_period(value: int) -> int:
    if value in (10, 30) or (value > 0 and value % 60 == 0 and value <= 3600):
        return value
    raise mistake(
        f"is `{value}`, which is no period of a CloudWatch alarm here",
        "Write 60 or a multiple of it up to 3600 (10 and 30 are for metrics of high resolution only).",
    )


def _folder(value: str) -> str:
    if value and not value.startswith("/") and ".." not in value.split("/"):
        return value
    raise mistake(
        f"is `{value}`, not a folder of this repository",
        "Write a path relative to the repository's root, for example `build/layers/x86_64`.",
    )


def _aliases(value: tuple[str, ...]) -> tuple[str, ...]:
    if DEFAULT_ALIAS not in value:
        raise mistake(
            f"is {_listed(value)}, without `{DEFAULT_ALIAS}`",
            f"Add `{DEFAULT_ALIAS}`: it is the alias that an address without a prefix means.",
        )
    if len(set(value)) != len(value):
        raise mistake(f"is {_listed(value)}: one alias stands there twice", "Name each alias once.")
    return value


def _listed(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{value}"' for value in values) + "]"


def _principal(value: str) -> str:
    if _PRINCIPAL.fullmatch(value):
        return value
    raise mistake(
        f"is `{value}`, not the ARN of a role or a user",
        "Write it whole, for example `arn:aws:iam::123456789012:role/Platform`.",
    )


Principals = Annotated[tuple[Annotated[str, AfterValidator(_principal)], ...], Field(strict=False)]
Alias = Annotated[str, _name(check_alias)]
Aliases = Annotated[tuple[Alias, ...], Field(strict=False), AfterValidator(_aliases)]
Memory = Annotated[int, between(128, 10_240, "MB", "Lambda gives a function no other amount")]
Timeout = Annotated[
    int,
    between(1, 29, "s", "an HTTP API waits 30 s for an answer at most, and the function must give up first"),
]
RollbackDepth = Annotated[
    int, between(1, 10, "releases", "a deploy prepares that many earlier releases of every model")
]
Ephemeral = Annotated[
    int,
    between(DEFAULT_EPHEMERAL_MB, MAX_EPHEMERAL_MB, "MB", "Lambda gives `/tmp` no other amount"),
]
Architecture = Literal["x86_64", "arm64"]
Runtime = Literal["plain", "text", "image"]
Provisioned = Annotated[
    int,
    between(0, 1_000, "environments", "an account has 1,000 executions at once unless it asked for more"),
]


ThrottleRate = Annotated[
    int, between(1, 10_000, "requests per second", "an account's default is 10000 for all its APIs")
]
ThrottleBurst = Annotated[int, between(1, 5_000, "requests", "an account's default is 5000")]
MaxBatch = Annotated[int, between(1, 100_000, "rows", "no request within Lambda's 6 MB has more of any use")]


class _Table(BaseModel):
    """A table of the file: unknown keys are mistakes, and TOML's types are taken at their word."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _issuer(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme == "https" and parts.hostname and not (parts.query or parts.fragment):
        return value
    raise mistake(
        f"is `{value}`, not an issuer that API Gateway asks for its keys",
        "Write the `iss` of the tokens as it stands in them; it is an https address.",
    )


def _words(most: int, what: str) -> AfterValidator:
    def check(value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(value) or len(value) > most:
            raise mistake(
                f"is {_listed(value)}: API Gateway takes up to {most} {what}, and none may be empty",
                f"Write a list of 1 to {most} texts.",
            )
        return value

    return AfterValidator(check)


def _some(value: tuple[str, ...]) -> tuple[str, ...]:
    if value:
        return value
    raise mistake(
        "is an empty list: every token of this issuer would do, whatever it was made for",
        "Write the `aud` (or `client_id`) of the tokens that are meant for this API.",
    )


class Jwt(_Table):
    """Whose tokens a stage takes: a JWT authorizer of the HTTP API (API Gateway, "HTTP API quotas")."""

    issuer: Annotated[str, AfterValidator(_issuer)]
    audience: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_some), _words(50, "audiences")]
    scopes: Annotated[tuple[str, ...], Field(strict=False), _words(10, "scopes")] = ()
    """A token needs one of them; none asks for none."""


def _bucket(value: str) -> str:
    if _BUCKET.fullmatch(value):
        return value
    raise mistake(
        f"is `{value}`, not the ARN of a bucket", "Write it whole, for example `arn:aws:s3:::models-copy`."
    )


class Replica(_Table):
    """Where a stage's store is copied to, in another region.

    With ``region`` the stage has a stack there with a bucket and a key for the copy. ``bucket`` and ``key``
    name a versioned bucket and a key that somebody else made.
    """

    region: Annotated[str, AfterValidator(_region)] | None = None
    bucket: Annotated[str, AfterValidator(_bucket)] | None = None
    key: heavy.KeyArn | None = None

    @model_validator(mode="after")
    def _says_where(self) -> Replica:
        if (self.region is None) == (self.bucket is None) or (self.bucket is None) != (self.key is None):
            raise mistake(
                "says neither one `region` nor one `bucket` with its `key`",
                "Write `region`, and the copy is made there; or `bucket` and `key` of one that exists.",
            )
        return self


class Stage(_Table):
    """One deployment of everything: ``local`` on the embedded cloud, ``prod`` in an AWS account.

    ``collectors``, ``publishers``, ``releasers``, ``on_call``, ``readers``, ``restorers`` and ``deployers``
    name who may assume the role of that name; an empty list leaves it to the account's own policies. With
    ``roles_only`` the store takes writes of the stage's own roles and of nobody else, administrators
    included. With ``signed_by``, a KMS key, no version is released whose manifest that key has not signed.
    ``rebase`` says who moves what is live to a changed base: each ``deploy``, all models at once, or
    ``yard rebase`` in ``waves``. ``messages`` is who is told of alarms. With ``training`` models are trained
    there too, in jobs.

    ``api`` is which kind of API stands in front: an HTTP API, or with ``rest`` a REST API, which knows
    ``callers`` by their keys and may be what ``rest`` says (``catalog.front``).

    The last ones are about heavy models: ``endpoint_image`` names the container's image, which is built
    from this repository otherwise; ``endpoint_key`` encrypts the disks of endpoints; with ``vpc_subnets`` and
    ``vpc_security_groups`` SageMaker's machines stand in the account's own network. On EC2 they stand in
    ``vpc``, in those subnets; ``grpc_callers`` may ask them by gRPC, for which load balancers want a
    ``grpc_certificate``.
    """

    name: Annotated[str, _name(check_stage)]
    account: Annotated[str, BeforeValidator(_account)] | None = None
    region: Annotated[str, AfterValidator(_region)] | None = None
    api: Literal["http", "rest"] = "http"
    auth: Literal["iam", "jwt", "none"] = "iam"
    jwt: Jwt | None = None
    rest: Rest = Field(default_factory=Rest)
    callers: Callers = Field(default_factory=dict)
    runtime_layer: Annotated[str, AfterValidator(_folder)]
    throttle_rate: ThrottleRate = 500
    throttle_burst: ThrottleBurst = 1_000
    keep_data: bool = True
    log_retention_days: Annotated[int, AfterValidator(_retention)] = 30
    replica: Replica | None = None
    collectors: Principals = ()
    publishers: Principals = ()
    releasers: Principals = ()
    on_call: Principals = ()
    readers: Principals = ()
    restorers: Principals = ()
    deployers: Principals = ()
    roles_only: bool = False
    signed_by: heavy.KeyArn | None = None
    alarm_period_s: Annotated[int, AfterValidator(_alarm_period)] = 60
    rebase: Literal["deploy", "waves"] = "deploy"
    lease_s: Annotated[
        int,
        between(
            5, 900, "s", "a release needs it for seconds, and a killed one blocks the next for all of it"
        ),
    ] = 180
    endpoint_image: heavy.Image | None = None
    endpoint_key: heavy.KeyArn | None = None
    vpc_subnets: heavy.Subnets = ()
    vpc_security_groups: heavy.SecurityGroups = ()
    vpc: heavy.Vpc | None = None
    grpc_certificate: heavy.Certificate | None = None
    grpc_callers: heavy.Networks = ()
    messages: Messages = Field(default_factory=Messages)
    training: Training | None = None

    @model_validator(mode="after")
    def _says_whose_tokens(self) -> Stage:
        if self.auth == "jwt" and self.jwt is None:
            raise mistake(
                'has `auth = "jwt"` and does not say whose tokens',
                f"Add `[stages.{self.name}.jwt]` with `issuer` and `audience`.",
            )
        if self.auth != "jwt" and self.jwt is not None:
            raise mistake(
                f'has a table `jwt` and `auth = "{self.auth}"`, which reads no token',
                'Write `auth = "jwt"`, or take the table out.',
            )
        return self

    @model_validator(mode="after")
    def _is_copied_elsewhere(self) -> Stage:
        if self.replica is not None and self.region is not None and self.replica.region == self.region:
            raise mistake(
                f"is in `{self.region}` and its `replica` too, where one disaster takes both",
                "Write another region for the `replica`.",
            )
        return self

    @model_validator(mode="after")
    def _has_the_door_for_it(self) -> Stage:
        """What only a REST API offers is refused here, and not ignored (ADR 62)."""
        written = [name for name in ("rest", "callers") if name in self.model_fields_set]
        if self.api == "http" and written:
            raise mistake(
                f"has `{written[0]}` and an HTTP API, which knows neither callers' keys nor a firewall nor "
                "a private address",
                'Write `api = "rest"`; docs/front-doors.md says what that costs.',
            )
        return self

    @model_validator(mode="after")
    def _has_a_whole_network(self) -> Stage:
        if self.vpc_security_groups and not self.vpc_subnets:
            raise mistake("has `vpc_security_groups` without `vpc_subnets`", "Write both, or neither.")
        if self.vpc_subnets and not (self.vpc_security_groups or self.vpc):
            raise mistake(
                "has `vpc_subnets` without `vpc_security_groups` or `vpc`",
                "Write the security groups of SageMaker's machines, or the `vpc` of EC2's.",
            )
        if bool(self.grpc_callers) != bool(self.grpc_certificate):
            raise mistake(
                "has `grpc_callers` without `grpc_certificate`, or the other way round",
                "Write both, or neither: a load balancer carries gRPC over TLS only.",
            )
        return self


class Overrides(_Table):
    """What a stage may say differently about a model. ``None`` means: as everywhere."""

    memory_mb: Memory | None = None
    timeout_s: Timeout | None = None
    snapstart: bool | None = None
    ephemeral_mb: Ephemeral | None = None
    architecture: Architecture | None = None
    max_batch: MaxBatch | None = None
    throttle_rate: ThrottleRate | None = None
    throttle_burst: ThrottleBurst | None = None
    handoff: bool | None = None
    queue: bool | None = None
    inbox: bool | None = None
    explain: bool | None = None
    tracing: bool | None = None
    runtime: Runtime | None = None
    rollback_depth: RollbackDepth | None = None
    aliases: Aliases | None = None
    provisioned_concurrency: Provisioned | None = None
    versions: heavy.Versions | None = None
    adopted: heavy.Adopted | None = None
    instance_type: str | None = None
    min_instances: heavy.MinInstances | None = None
    max_instances: heavy.Instances | None = None
    target_invocations_per_instance: heavy.TargetInvocations | None = None
    keep_warm: heavy.KeepWarm | None = None
    asynchronous: heavy.Asynchronous | None = None
    component: heavy.Component | None = None
    image: heavy.Image | None = None
    environment: heavy.Environment | None = None
    spot: bool | None = None
    warm_instances: heavy.WarmInstances | None = None
    target_gpu_utilization: heavy.Percent | None = None
    alarms: Alarms | None = None
    capture: Capture | None = None
    pipeline: Pipeline | None = None


class Model(_Table):
    """One model as one stage serves it.

    With ``ephemeral_mb`` a version too large for a layer is read from S3 at start, into a ``/tmp`` of that
    size. ``max_batch`` is the most rows that one request may have; without it bytes and time decide.
    ``throttle_rate`` and ``throttle_burst`` bound each of its routes, the stage's those that have none of
    their own. With ``handoff`` payloads that Lambda does not carry go through a bucket; with ``queue``
    requests are taken from a queue too, and answered in another; with ``inbox`` objects that are put into a
    bucket are answered there, and the queues come with it. With ``explain`` callers may ask what an answer
    hangs on. With ``tracing`` Lambda draws requests for X-Ray to trace, up to the endpoint of a heavy model.
    ``runtime`` is which layer lies under the function: ``text`` has tokenisers, ``image`` reads pictures.

    A heavy model has another target: ``memory_mb``, ``timeout_s``, ``snapstart`` and
    ``provisioned_concurrency`` are then those of the gateway function in front of its endpoints. Each of
    ``versions`` has an endpoint of its own, of ``min_instances`` to ``max_instances`` machines of
    ``instance_type``; the one that served before stays for ``keep_warm``. ``image`` is a team's own
    container, such as vLLM's or Triton's, in place of ours; ``environment`` is told to whichever it is. With
    ``asynchronous`` requests wait in SageMaker's queue, and there may be no machine while none does; with
    ``component`` the first one wakes a machine and is told to come again. ``adopted`` are endpoints that were
    there before: the gateway may ask them, and nothing here changes one.

    ``alarms`` is what people are told about it; a stage may say some of it differently. ``capture`` is what
    of its requests is kept, and a stage's own table takes the place of the model's. ``pipeline`` trains and
    releases it, on stages that have ``training``.
    """

    name: Annotated[str, _name(check_name)]
    target: Literal["lambda", "sagemaker", "ec2"]
    memory_mb: Memory = 1_024
    timeout_s: Timeout = 10
    snapstart: bool = True
    ephemeral_mb: Ephemeral | None = None
    architecture: Architecture = "x86_64"
    max_batch: MaxBatch | None = None
    throttle_rate: ThrottleRate | None = None
    throttle_burst: ThrottleBurst | None = None
    handoff: bool = False
    queue: bool = False
    inbox: bool = False
    explain: bool = False
    tracing: bool = False
    runtime: Runtime = "plain"
    rollback_depth: RollbackDepth = 2
    aliases: Aliases = (DEFAULT_ALIAS,)
    provisioned_concurrency: Provisioned = 0
    versions: heavy.Versions = ()
    adopted: heavy.Adopted = ()
    instance_type: str | None = None
    min_instances: heavy.MinInstances = 1
    max_instances: heavy.Instances = 1
    target_invocations_per_instance: heavy.TargetInvocations | None = None
    keep_warm: heavy.KeepWarm = "24h"
    asynchronous: heavy.Asynchronous | None = None
    component: heavy.Component | None = None
    image: heavy.Image | None = None
    environment: heavy.Environment = Field(default_factory=dict)
    spot: bool = False
    warm_instances: heavy.WarmInstances = 0
    target_gpu_utilization: heavy.Percent | None = None
    alarms: Alarms = Field(default_factory=Alarms)
    capture: Capture | None = None
    pipeline: Pipeline | None = None
    stages: dict[str, Overrides] = Field(default_factory=dict, repr=False)

    @model_validator(mode="after")
    def _starts_in_one_way(self) -> Model:
        """AWS offers no SnapStart beside provisioned concurrency (Lambda developer guide, "SnapStart")."""
        for where in (None, *self.stages):
            here = self if where is None else self.on(where)
            if here.snapstart and here.provisioned_concurrency:
                on_stage = f" on stage `{where}`" if where else ""
                raise mistake(
                    f"has both SnapStart and provisioned concurrency{on_stage}, and AWS allows one of them",
                    "Write `snapstart = false`, or leave `provisioned_concurrency` out.",
                )
        return self

    @model_validator(mode="after")
    def _fits_its_target(self) -> Model:
        for where in (None, *self.stages):
            found = heavy.check_model(self if where is None else self.on(where))
            if found is not None:
                raise found
        return self

    @model_validator(mode="after")
    def _is_released_by_its_pipeline(self) -> Model:
        for where in (None, *self.stages):
            here = self if where is None else self.on(where)
            if here.pipeline is not None and here.is_heavy:
                raise mistake(
                    "has a pipeline, which releases what it made, and an endpoint for each version that is "
                    "listed here",
                    "Take the table out: run `yard pipeline --no-release`, then `yard provision`.",
                )
        return self

    @model_validator(mode="after")
    def _drifts_where_requests_are_kept(self) -> Model:
        for where in (None, *self.stages):
            here = self if where is None else self.on(where)
            if here.pipeline is not None and here.pipeline.on_drift and here.captures is None:
                on_stage = f" on stage `{where}`" if where else ""
                raise mistake(
                    f"has a pipeline that drift starts, and none of its requests are kept{on_stage}",
                    f"Add `[models.{self.name}.capture]`, or write `on_drift = false`.",
                )
        return self

    @property
    def is_heavy(self) -> bool:
        """Whether endpoints serve it, behind a gateway function."""
        return self.target != "lambda"

    @property
    def written(self) -> frozenset[str]:
        """The keys that the file writes about this model, on any stage."""
        overridden = (stage.model_fields_set for stage in self.stages.values())
        return frozenset(self.model_fields_set).union(*overridden)

    @model_validator(mode="after")
    def _snapshots_a_small_tmp(self) -> Model:
        """AWS takes no snapshot of a larger ``/tmp`` (Lambda developer guide, "SnapStart")."""
        for where in (None, *self.stages):
            here = self if where is None else self.on(where)
            if here.snapstart and (here.ephemeral_mb or 0) > SNAPSTART_EPHEMERAL_MB:
                on_stage = f" on stage `{where}`" if where else ""
                raise mistake(
                    f"has SnapStart and `ephemeral_mb = {here.ephemeral_mb}`{on_stage}, and AWS allows "
                    f"SnapStart with at most {SNAPSTART_EPHEMERAL_MB} MB of `/tmp`",
                    f"Write `snapstart = false`, or `ephemeral_mb = {SNAPSTART_EPHEMERAL_MB}`.",
                )
        return self

    def on(self, stage: str) -> Model:
        """This model with the overrides of ``stage`` applied."""
        overrides = self.stages.get(stage)
        here: dict[str, Any] = {
            name: value for name, value in overrides or () if value is not None and name != "alarms"
        }
        if overrides is not None and overrides.alarms is not None:
            written = overrides.alarms.model_dump(include=overrides.alarms.model_fields_set)
            here["alarms"] = self.alarms.model_copy(update=written)
        return self.model_copy(update={**here, "stages": {}})

    @property
    def captures(self) -> Capture | None:
        """What is kept of its requests; ``None`` where nothing is."""
        return self.capture if self.capture is not None and self.capture.rate > 0 else None


def moves_in_waves(stage: Stage, model: Model) -> bool:
    """Whether a deploy leaves what is live of ``model`` on the base before, until its wave.

    A heavy model's endpoints come and go with its stack, so its deploy moves it.
    """
    return stage.rebase == "waves" and not model.is_heavy


class Catalog(_Table):
    """The whole file, checked."""

    stages: dict[str, Stage]
    models: dict[str, Model] = Field(default_factory=dict)

    def stage(self, name: str) -> Stage:
        """Return the stage called ``name``, or say which stages there are."""
        try:
            return self.stages[name]
        except KeyError:
            raise CatalogError(
                f"the catalog has no stage `{name}`", hint=f"Choose {self.stage_choice()}."
            ) from None

    def stage_choice(self) -> str:
        """The stages as a person reads them: ``local`` or ``prod``."""
        return " or ".join(f"`{name}`" for name in self.stages)

    def models_for(self, stage_name: str) -> dict[str, Model]:
        """Every model as ``stage_name`` serves it, in the file's order."""
        stage = self.stage(stage_name)
        return {name: model.on(stage.name) for name, model in self.models.items()}
