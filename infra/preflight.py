"""Refuse at synth what AWS would refuse minutes into a deploy, with one sentence and a remedy.

Every check reads files and numbers only: no AWS call, nothing changes, safe to repeat.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from catalog.front import Caller
from catalog.schema import Model
from infra.bundles import Tree, measure
from infra.errors import PreflightError
from model_store.contract.deployment import DEFAULT_ALIAS
from model_store.contract.environment import UNZIPPED_LIMIT_BYTES
from model_store.contract.placement import READ_BYTES_PER_S, reading_s, start_limit_s

ENVIRONMENT_LIMIT_BYTES = 4_096
"""All environment variables of a function together. Source: AWS Lambda quotas, 4 KB."""

ROUTE_LIMIT = 300
"""Routes of one HTTP API, a hard limit. Source: HTTP API quotas."""

REST_RESOURCE_LIMIT = 300
"""Resources (path parts) of one REST API, unless the account asked for more. Source: API Gateway quotas."""

REST_TIMEOUT_LIMIT_S = 28
"""The longest time limit that strikes before a REST API's own 29 s do."""

STACK_LIMIT = 500
"""Resources of one stack. Source: AWS CloudFormation quotas."""

# What a REST API's stack holds besides models and callers, with a firewall and an authorizer (test_api.py).
_REST_OWN = 60
_OF_AN_ALIAS = 5
_SHARED_PATHS = 4

_MACHINE_OF = {"x86_64": "x86_64", "arm64": "aarch64"}
_LAYER_TARGETS = tuple(
    f"{built}{beside}" for beside in ("", "-text", "-image") for built in ("local", "x86_64", "arm64")
)
_MB = 1_048_576


def check_runtime_layer(folder: str, *, root: Path) -> Tree:
    """Return the built runtime layer at ``folder``, or say which command builds it."""
    path = root / folder
    if not (path / "python").is_dir():
        raise PreflightError(f"the runtime layer `{folder}` is not built", hint=_how_to_build(folder))
    if not _facts_path(path).is_file():
        raise PreflightError(
            f"the runtime layer `{folder}` was not finished: `{_facts_path(path).name}` is missing beside it",
            hint=_how_to_build(folder),
        )
    return measure(path)


def check_elsewhere(region: str, copied_to: str) -> None:
    """Refuse a copy in the stage's own region, as far as that is known at synth."""
    if region == copied_to:
        raise PreflightError(
            f"the stage is deployed to `{region}`, and its store is to be copied to `{copied_to}`: one "
            "disaster takes both",
            hint="Write another `region` under the stage's `replica`, or deploy to another region.",
        )


def check_pipeline(file: str, *, root: Path) -> Path:
    """Return where a model's ``pipeline.toml`` is, or say that it is not there."""
    path = root / file
    if not path.is_file():
        raise PreflightError(
            f"there is no pipeline at `{file}`",
            hint="Write `pipeline.file` relative to the repository's root.",
        )
    return path


def folder_of(runtime_layer: str, runtime: str) -> str:
    """Where a stage's runtime layers lie: the plain one where the catalog says, the others beside it."""
    return runtime_layer if runtime == "plain" else f"{runtime_layer}-{runtime}"


def layer_python(layer: Tree) -> str | None:
    """The Python that the runtime layer is built for, and so the functions on it are run by."""
    python = json.loads(_facts_path(layer.path).read_text("utf-8")).get("python")
    return str(python) if python else None


def check_machine(model: Model, layer: Tree) -> None:
    """Refuse a layer whose compiled parts are for another processor than the function's.

    A layer for the embedded cloud is exempt: it is made for the laptop, whatever that is.
    """
    facts = json.loads(_facts_path(layer.path).read_text("utf-8"))
    wanted = _MACHINE_OF[model.architecture]
    if not str(facts.get("target")).startswith("local") and facts.get("machine") != wanted:
        raise PreflightError(
            f"`{model.name}` runs on {model.architecture}, and its runtime layer `{layer.path.name}` "
            f"is built for {facts.get('machine')}",
            hint=f"Give the stage a layer for {model.architecture}, or the model another `architecture`.",
        )


def check_size(model: str, *trees: Tree) -> int:
    """Return how many unzipped bytes are left for the model itself, or refuse with the largest folders."""
    total = sum(tree.unzipped_bytes for tree in trees)
    if total < UNZIPPED_LIMIT_BYTES:
        return UNZIPPED_LIMIT_BYTES - total
    folders = sorted(
        (
            (size, f"{tree.path.name}/{folder}")
            for tree in trees
            for folder, size in tree.bytes_by_folder.items()
        ),
        reverse=True,
    )[:5]
    largest = ", ".join(f"{name} {size / _MB:.1f} MB" for size, name in folders)
    raise PreflightError(
        f"the function of `{model}` unzips to {total / _MB:.1f} MB with its runtime layer, "
        f"and Lambda allows {UNZIPPED_LIMIT_BYTES / _MB:.0f} MB, model included; "
        f"the largest folders: {largest}",
        hint="Take packages out of `layers/runtime.in` and build the layer again.",
    )


def warn_of_slow_start(model: Model) -> str | None:
    """What to say of a function whose largest versions would take longer to start than Lambda waits.

    How large they will be nobody knows at synth; a release says it of each with its own numbers.
    """
    patient = model.snapstart or model.provisioned_concurrency > 0
    limit = start_limit_s(patient=patient, timeout_s=model.timeout_s)
    largest = (model.ephemeral_mb or 0) * _MB
    if reading_s(largest) <= limit:
        return None
    then = "" if patient else f" and then the {model.timeout_s} s time limit of the first request"
    return (
        f"a version of `{model.name}` that fills its `ephemeral_mb = {model.ephemeral_mb}` takes some "
        f"{reading_s(largest):.0f} s to be read from S3, by estimate; a start has {limit:.0f} s{then}, "
        f"enough for {limit * READ_BYTES_PER_S / 1_000_000:.0f} MB"
    )


def check_environment(function: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return ``variables`` unchanged, or refuse what Lambda would."""
    size = sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())
    if size <= ENVIRONMENT_LIMIT_BYTES:
        return dict(variables)
    raise PreflightError(
        f"the environment variables of `{function}` take {size} bytes, "
        f"and Lambda allows {ENVIRONMENT_LIMIT_BYTES}",
        hint="Declare fewer models on this stage, or give them shorter names.",
    )


def check_routes(models: Mapping[str, Model], *, own_routes: int) -> None:
    """Refuse more aliases than one HTTP API has routes for (two for each alias)."""
    routes = own_routes + sum(2 * len(model.aliases) for model in models.values())
    if routes > ROUTE_LIMIT:
        raise PreflightError(
            f"the catalog's aliases need {routes} routes, and an HTTP API has at most {ROUTE_LIMIT}",
            hint="Declare fewer aliases, or serve some models from another stage.",
        )


def check_rest_api(models: Mapping[str, Model], *, callers: Mapping[str, Caller]) -> None:
    """Refuse what a REST API gives no time or no room for."""
    for model in models.values():
        if model.timeout_s > REST_TIMEOUT_LIMIT_S:
            raise PreflightError(
                f"`{model.name}` has `timeout_s = {model.timeout_s}`, and a REST API waits 29 s",
                hint=f"Write at most {REST_TIMEOUT_LIMIT_S}: the function must give up first.",
            )
    aliases = [alias for model in models.values() for alias in model.aliases]
    prefixes = set(aliases) - {DEFAULT_ALIAS}
    paths = 2 * len(aliases) + _SHARED_PATHS + 3 * len(prefixes)
    if paths > REST_RESOURCE_LIMIT:
        raise PreflightError(
            f"the catalog's aliases need {paths} paths, and a REST API has at most {REST_RESOURCE_LIMIT}",
            hint="Declare fewer aliases, or serve some models from another stage.",
        )
    parts = parts_of_rest_api(models, callers)
    if parts > STACK_LIMIT:
        raise PreflightError(
            f"the REST API of {len(aliases)} aliases and {len(callers)} callers needs some {parts} "
            f"resources, and a stack has at most {STACK_LIMIT}",
            hint="Declare fewer aliases or callers, or serve some of them from another stage.",
        )


def parts_of_rest_api(models: Mapping[str, Model], callers: Mapping[str, Caller]) -> int:
    """How many resources the stack of a REST API has at most."""
    aliases = [alias for model in models.values() for alias in model.aliases]
    keys = sum(1 + 2 * len(caller.keys) for caller in callers.values())
    prefixes = set(aliases) - {DEFAULT_ALIAS}
    return _REST_OWN + _OF_AN_ALIAS * len(aliases) + 3 * len(prefixes) + keys


def _facts_path(layer: Path) -> Path:
    return layer.with_name(layer.name + ".json")


def _how_to_build(folder: str) -> str:
    name = Path(folder).name
    if folder == f"build/layers/{name}" and name in _LAYER_TARGETS:
        return f"Run `python -m layers.build --for {name}`."
    return f"Run `python -m layers.build --for x86_64 --out {shlex.quote(folder)}` (or `local`, `arm64`)."
