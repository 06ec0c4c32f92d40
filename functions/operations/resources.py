"""The custom resources, as calls of the release controller and the model store.

* ``Custom::SwitchyardGuard``    refuses a deploy that would take away something live, or cross a shift
* ``Custom::SwitchyardModel``    makes sure a model's aliases exist and records its base
* ``Custom::SwitchyardRollout``  puts what is live on the new base, in two phases
* ``Custom::SwitchyardFolder``   lays a version out in the bucket as the folder that its endpoint mounts

``Delete`` never removes an alias, a version or a folder. Each may be delivered twice.
"""

from __future__ import annotations

from typing import Any

from model_store.contract.digest import Digest
from model_store.contract.names import ByVersion
from model_store.lay_out import lay_out
from model_store.ports import ObjectStore
from model_store.versions import models
from releases.deploy import Deploy
from releases.errors import DisagreementError
from releases.kept import LAMBDA, DeclaredVersions
from releases.rebase import DeployedModel

GUARD = "Custom::SwitchyardGuard"
MODEL = "Custom::SwitchyardModel"
ROLLOUT = "Custom::SwitchyardRollout"
FOLDER = "Custom::SwitchyardFolder"

Properties = dict[str, Any]


def physical_id(resource_type: str, properties: Properties) -> str:
    """Stable for the life of the resource: a changed id would make CloudFormation delete the old one."""
    parts = [resource_type.removeprefix("Custom::"), str(properties.get("Stage", ""))]
    if resource_type in (MODEL, FOLDER):
        parts.append(str(properties.get("Model", "")))
    if resource_type == FOLDER:
        parts.append(str(properties.get("Version", "")))
    return "/".join(parts)


def apply(
    resource_type: str,
    properties: Properties,
    *,
    deploy: Deploy,
    store: ObjectStore,
    rolling_back: bool,
) -> dict[str, str]:
    """Create or update the resource; what it returns can be read with ``Fn::GetAtt``."""
    if resource_type == GUARD:
        return _guard(properties, deploy, store, rolling_back=rolling_back)
    if resource_type == MODEL:
        return _model(properties, deploy)
    if resource_type == ROLLOUT:
        return _rollout(properties, deploy, rolling_back=rolling_back)
    if resource_type == FOLDER:
        return _folder(properties, store)
    raise DisagreementError(f"`{resource_type}` is not a resource of Switchyard")


def _guard(
    properties: Properties, deploy: Deploy, store: ObjectStore, *, rolling_back: bool
) -> dict[str, str]:
    declared = {item["Model"]: tuple(item["Aliases"]) for item in properties.get("Models", [])}
    if not rolling_back:
        deploy.refuse_while_shifting(declared)
        deploy.refuse_while_in_waves()
        deploy.guard(declared, models(store))
        deploy.guard_endpoints([_declared(item) for item in properties.get("Models", [])])
        # Absent in what an earlier Switchyard declared, where no version was read from S3.
        deploy.guard_reading(
            item["Model"] for item in properties.get("Models", []) if str(item.get("ReadsStore")) == "false"
        )
    return {"Models": ",".join(sorted(declared))[:1000]}


def _model(properties: Properties, deploy: Deploy) -> dict[str, str]:
    declared = properties["Base"]
    base = deploy.declare(
        _deployed(properties),
        layers=tuple(declared.get("Layers", [])),
        environment={str(name): str(value) for name, value in declared.get("Environment", {}).items()},
    )
    return {"Base": base.hash}


def _rollout(properties: Properties, deploy: Deploy, *, rolling_back: bool) -> dict[str, str]:
    declared = [_deployed(item) for item in properties.get("Models", [])]
    lines = deploy.rebase(declared, publish=not rolling_back)
    return {"Moved": str(len(lines))}


def _folder(properties: Properties, store: ObjectStore) -> dict[str, str]:
    ref = ByVersion(properties["Model"], int(properties["Version"]))
    manifest = lay_out(store, ref, Digest(properties["Digest"]))
    return {"Bytes": str(manifest.size)}


def _deployed(item: Properties) -> DeployedModel:
    """Read one declared model; CloudFormation hands every scalar over as a string."""
    return DeployedModel(
        model=item["Model"],
        fingerprint=item["Fingerprint"],
        aliases=tuple(item.get("Aliases", ("live",))),
        rollback_depth=int(item.get("RollbackDepth", 2)),
        provisioned=int(item.get("ProvisionedConcurrency", 0)),
        versions=_numbers(item["Versions"]) if "Versions" in item else None,
        waves=str(item.get("Waves")) == "true",
        adopted=tuple(item.get("Adopted", ())),
    )


def _declared(item: Properties) -> DeclaredVersions:
    return DeclaredVersions(
        model=item["Model"],
        aliases=tuple(item["Aliases"]),
        target=item.get("Target", LAMBDA),
        versions=_numbers(item.get("Versions", [])),
        rollback_depth=int(item.get("RollbackDepth", 2)),
        keep_warm_s=int(item.get("KeepWarmS", 0)),
        adopted=tuple(item.get("Adopted", ())),
    )


def _numbers(values: list[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in values)
