"""``yard local``: the embedded cloud with everything deployed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model_store.contract.errors import CatalogError, SwitchyardError
from yard import options, output

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

local = typer.Typer(
    no_args_is_help=True, help="The embedded cloud on this machine, with everything deployed."
)


class LayerNotBuiltError(SwitchyardError):
    """The runtime layer could not be built."""


@local.command()
def up(
    port: Annotated[int | None, typer.Option("--port", help="A fixed port; a free one without it.")] = None,
    as_json: options.Json = False,
) -> None:
    """Start the embedded cloud and deploy the catalog's local stage to it. Repeat it after a change.

    Example: yard local up
    """
    from local_cloud import cloud
    from local_cloud.deploy import deploy
    from yard import deployment

    root = deployment.project_root()
    if root is None:
        raise CatalogError(
            "there is no models.toml here or above", hint="Run it inside a Switchyard project."
        )
    with output.working("starting the embedded cloud") as steps:
        steps("building the runtime layer (kept for the next time)")
        build_layer(root, steps)
        steps("starting the embedded cloud")
        running = cloud.start(deployment.cloud_home(), port=port)
        deploy(running, root=root, catalog=deployment.catalog_path(), on_progress=steps)
    _report(running, as_json=as_json)


@local.command()
def down(as_json: options.Json = False) -> None:
    """Stop the embedded cloud and everything it started. What it held is gone.

    Example: yard local down
    """
    from local_cloud import cloud
    from yard import deployment

    stopped = cloud.stop(deployment.cloud_home())
    output.done("the embedded cloud is stopped" if stopped else "the embedded cloud was not running")
    if as_json:
        output.print_json({"stopped": stopped})


@local.command()
def status(as_json: options.Json = False) -> None:
    """Say whether the embedded cloud runs, and where. Exits 1 if it does not.

    Example: yard local status
    """
    from local_cloud import cloud
    from yard import deployment

    running = cloud.find(deployment.cloud_home())
    if running is None:
        if as_json:
            output.print_json({"running": False})
        output.fail("the embedded cloud is not running", hint="Start it with `yard local up`.")
        raise typer.Exit(1)
    _report(running, as_json=as_json)


def build_layer(root: Path, say: output.Steps) -> None:
    """Build the runtime layer for this interpreter, or find it built already."""
    command = [sys.executable, "-m", "layers.build", "--for", "local"]
    process = subprocess.Popen(
        command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    heard: list[str] = []
    for line in process.stderr:
        heard.append(line.rstrip())
        say(line.rstrip())
    if process.wait() != 0:
        raise LayerNotBuiltError(
            f"the runtime layer could not be built: {heard[-1] if heard else 'no reason given'}",
            hint="Run `python -m layers.build --for local` to see all of it.",
        )


def _report(running: Cloud, *, as_json: bool) -> None:
    from releases.errors import NotDeployedError
    from yard import deployment

    facts: dict[str, Any] = {
        "running": True,
        "endpoint_url": running.endpoint_url,
        "stage": deployment.LOCAL,
        "api_url": None,
        "pid": running.pid,
    }
    try:
        facts["api_url"] = deployment.find(deployment.LOCAL).api_url
    except NotDeployedError as error:
        output.warn(f"{error}; {error.hint}")
    output.done(f"the embedded cloud runs at {running.endpoint_url} (process {running.pid})")
    if as_json:
        output.print_json(facts)
    else:
        output.data.print(facts["api_url"] or "")
