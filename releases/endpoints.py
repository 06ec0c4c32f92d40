"""Endpoints of heavy models, looked at before an alias may lead to them. Nothing here makes or deletes one.

A Lambda model *is* its Lambda version; a heavy one stands beside it. So phase 1 of a release asks two more
things: is there an endpoint of this version, digest and configuration, and was its container told to serve
exactly that (law 9: SageMaker has put endpoints back to an older configuration without a word,
terraform-provider-aws#48997). Whether it computes what it should is then asked through the gateway, like of
any version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from model_store.contract import environment as env
from model_store.contract.endpoints import ADOPTED as ADOPTED
from model_store.contract.endpoints import (
    HEAVY_TARGETS,
    SAGEMAKER,
    endpoint_name,
    endpoints_prefix,
    how_to_provision,
    version_of_endpoint,
)
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from releases.errors import DisagreementError, UnfitVersionError, UnprovisionedError
from releases.ports import Clock, Endpoints, EndpointState
from releases.prices import per_hour
from releases.records import Base

SERVICE_PATIENCE_S = 1_800.0
"""An endpoint with a GPU takes 5 to 15 minutes to be in service; half an hour is stuck
(aws/amazon-sagemaker-examples#3432: an hour in Creating)."""

FLOOR_PATIENCE_S = 600.0
"""A machine more is there in minutes; the function that prepares a deploy's versions has fifteen of them."""

_PAUSE_S = 5.0

ANSWERING = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack"})
"""Autoscaling and patching are updates too, and the endpoint answers meanwhile."""

ByTarget = Mapping[str, Endpoints]


@dataclass(frozen=True, slots=True)
class KeptWarm:
    """An endpoint that is there, whether anything leads to it or not, and what it costs in US dollars."""

    version: int
    endpoint: str
    status: str
    instance_type: str
    instances: int
    per_hour: float | None


def adopted_endpoint(manifest: Manifest) -> str:
    """The endpoint that ran this version before there was a stage, and that still may; else empty."""
    kind, _, name = manifest.lineage.get(ADOPTED, "").partition(":")
    return name if kind == "sagemaker" else ""


def must_stand(endpoints: Endpoints, manifest: Manifest) -> None:
    """Raise ``UnprovisionedError`` unless the adopted endpoint answers. It is nobody's here to make."""
    name = adopted_endpoint(manifest)
    status = endpoints.status(name)
    if status not in ANSWERING:
        raise UnprovisionedError(
            f"`{manifest.ref}` was adopted from the endpoint `{name}`, which is {status or 'gone'}",
            hint=f"Publish its files again with `--new`, and provision that version: `yard provision "
            f"{manifest.model}:N`.",
        )


def target_of(base: Base) -> str:
    """Where the versions of a model run: ``lambda``, or behind a gateway."""
    return base.environment.get(env.TARGET, "lambda")


def endpoint_for(stage: str, manifest: Manifest, base: Base) -> str:
    """The name of the endpoint that a version has on this base; empty for a model on Lambda."""
    if target_of(base) not in HEAVY_TARGETS:
        return ""
    if target_of(base) == SAGEMAKER and (adopted := adopted_endpoint(manifest)):
        return adopted
    configuration = base.environment.get(env.ENDPOINT_CONFIGURATION, "")
    return endpoint_name(stage, manifest.model, manifest.version, manifest.digest, configuration)


def floor_of(base: Base) -> int:
    """How many machines every endpoint on this base has at least."""
    return int(base.environment.get(env.ENDPOINT_FLOOR, "1"))


def must_answer(
    endpoints: Endpoints,
    clock: Clock,
    manifest: Manifest,
    name: str,
    *,
    stage: str,
    say: Callable[[str], None],
    floor: int = 1,
) -> None:
    """Return once the endpoint can be asked, by as many machines as ``floor`` if that is more than one.

    An endpoint begins with one machine; what takes the place of eight has to wait for the others.
    Raises ``UnprovisionedError`` if there is none, ``UnfitVersionError`` if it failed to start, does not
    come or stays below its floor, and ``DisagreementError`` if it was made for something else. Looking
    changes nothing and may be repeated.
    """
    state = _in_service(endpoints, clock, manifest, name, stage=stage, say=say)
    deadline = clock.now() + FLOOR_PATIENCE_S
    if floor > 1 and state.instances < floor:
        say(f"waiting for machines of {manifest.ref}: {state.instances} of {floor}")
    while floor > 1 and state.instances < floor:
        if clock.now() >= deadline:
            raise UnfitVersionError(
                f"the endpoint of `{manifest.ref}` has {state.instances} of the {floor} machines it needs",
                hint="Raise the quota of this instance type, or lower `min_instances`; then repeat it.",
            )
        clock.sleep(_PAUSE_S)
        state = _in_service(endpoints, clock, manifest, name, stage=stage, say=say)


def _in_service(
    endpoints: Endpoints,
    clock: Clock,
    manifest: Manifest,
    name: str,
    *,
    stage: str,
    say: Callable[[str], None],
) -> EndpointState:
    deadline = clock.now() + SERVICE_PATIENCE_S
    told = False
    while True:
        state = endpoints.describe(name)
        if state is None or state.status == "Deleting":
            raise UnprovisionedError(
                f"`{manifest.ref}` has no endpoint on stage `{stage}`",
                hint=how_to_provision(manifest.ref, stage),
            )
        _must_be_made_for(manifest, state)
        if state.status in ANSWERING:
            return state
        if state.status != "Creating" or clock.now() >= deadline:
            raise UnfitVersionError(
                f"the endpoint of `{manifest.ref}` is {state.status}: {state.reason or 'no reason given'}",
                hint=f"Read the log group `{state.log_group}`, then provision it again.",
            )
        if not told:
            say(f"waiting for the endpoint of {manifest.ref}, which is {state.status}")
            told = True
        clock.sleep(_PAUSE_S)


def _must_be_made_for(manifest: Manifest, state: EndpointState) -> None:
    digest = state.environment.get(env.DIGEST, "").removeprefix("sha256:")
    told = f"{state.environment.get(env.MODEL)}:{state.environment.get(env.VERSION)}"
    if (told, digest) != (str(manifest.ref), manifest.digest.hex):
        raise DisagreementError(
            f"the endpoint `{state.name}` was made for `{told}` of `sha256:{digest[:12]}`, and its name says "
            f"`{manifest.ref}` of `sha256:{manifest.digest.short}`",
            hint="Somebody updated it past the stack: delete it and run `cdk deploy --all`.",
        )


def can_be_asked(endpoints: Endpoints | None, name: str) -> bool:
    """Whether an endpoint is there and answering; also ``True`` where nobody looks after endpoints."""
    if endpoints is None:
        return True
    return endpoints.status(name) in ANSWERING


def kept_warm(endpoints: Endpoints, stage: str, model: str) -> list[KeptWarm]:
    """Every endpoint of ``model`` on this stage, by version."""
    found: list[KeptWarm] = []
    for name, version in endpoint_versions(endpoints, stage, model).items():
        state = endpoints.describe(name)
        if state is not None:
            cost = per_hour(state.instance_type, state.instances)
            found.append(KeptWarm(version, name, state.status, state.instance_type, state.instances, cost))
    return sorted(found, key=lambda item: (item.version, item.endpoint))


def endpoint_versions(endpoints: Endpoints, stage: str, model: str) -> dict[str, int]:
    """Which endpoints ``model`` has, with the version of each."""
    named = {
        name: version_of_endpoint(stage, model, name)
        for name in endpoints.names(endpoints_prefix(stage, model))
    }
    return {name: version for name, version in named.items() if version is not None}


def container_logs(endpoints: Endpoints, stage: str, model: str) -> list[tuple[int, str]]:
    """The version and the log group of every endpoint of ``model``. A log goes with its endpoint."""
    found = []
    for name, version in endpoint_versions(endpoints, stage, model).items():
        state = endpoints.describe(name)
        if state is not None and state.log_group:
            found.append((version, state.log_group))
    return sorted(found)


def refs_with_endpoints(endpoints: Endpoints, stage: str, model: str) -> set[ByVersion]:
    """The versions of ``model`` whose artifact an endpoint may read again: a new machine starts from it."""
    return {ByVersion(model, version) for version in endpoint_versions(endpoints, stage, model).values()}
