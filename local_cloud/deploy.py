"""Run the real CDK command line against the embedded cloud: bootstrap, deploy, destroy.

The same app, templates and command line as for a real account; only the address differs. Bootstrapping and
synthesis run side by side (neither needs the other), then the synthesised stacks are deployed. Everything the
CDK writes stays in the cloud's home, so that two clouds can be filled from one checkout at once. Safe to
repeat: an interrupted deploy is continued by the next one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

from local_cloud.cloud import Cloud
from local_cloud.errors import LocalCloudError

Progress = Callable[[str], None]

_PROJECT = Path(__file__).resolve().parent.parent
_NODE_MODULES = _PROJECT / "node_modules"
_TOOLKIT = "CDKToolkit"
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_FAILED = re.compile(r"FAILED|❌|[Ee]rror")
_QUIET = ("--no-color", "--no-version-reporting", "--no-notices")
_TAIL = 12
_UNKNOWN = "unknown-region"
"""What the CDK writes for a stack that may stand in any region."""


def deploy(
    cloud: Cloud,
    *,
    root: Path,
    stage: str = "local",
    catalog: Path | None = None,
    assembly: Path | None = None,
    on_progress: Progress,
) -> None:
    """Deploy every stack of the app in ``root`` for ``stage``; ``on_progress`` gets one line at a time.

    The first deploy into a region of a cloud bootstraps it. A stack that fails rolls back as on AWS, and the
    error carries the reasons CloudFormation gives. ``assembly`` is a folder that ``synthesise`` wrote: what
    stands there is deployed, and nothing is synthesised.
    """
    cdk = _Cdk(cloud, root, on_progress)
    synth = None if assembly else cdk.synthesise(stage, catalog)
    try:
        if not _is_bootstrapped(cloud):
            cdk.run("bootstrap", f"aws://{cloud.account}/{cloud.region}", cwd=cloud.home)
    except BaseException:
        if synth:
            synth.end()
        raise
    if synth:
        cdk.finish(synth)
    elif assembly:
        shutil.rmtree(_assembly(cloud), ignore_errors=True)
        shutil.copytree(assembly, _assembly(cloud))
    for region in _other_regions(cloud):
        if not _is_bootstrapped(replace(cloud, region=region)):
            cdk.run("bootstrap", f"aws://{cloud.account}/{region}", cwd=cloud.home)
    started = datetime.now(UTC)
    cdk.run(
        "deploy",
        "--all",
        "--app",
        str(_assembly(cloud)),
        "--require-approval",
        "never",
        "--concurrency",
        "4",
        "--progress",
        "events",
        reasons=lambda: _reasons(cloud, started),
    )


def synthesise(
    cloud: Cloud,
    folder: Path,
    *,
    root: Path,
    stage: str = "local",
    catalog: Path | None = None,
    on_progress: Progress,
) -> None:
    """Write the app's assembly into ``folder``, whole or not at all, so that many clouds can deploy it."""
    cdk = _Cdk(cloud, root, on_progress)
    cdk.finish(cdk.synthesise(stage, catalog))
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.copytree(_assembly(cloud), unfinished)
    unfinished.rename(folder)


def destroy(
    cloud: Cloud,
    *,
    root: Path,
    stage: str = "local",
    catalog: Path | None = None,
    on_progress: Progress,
) -> None:
    """Destroy every stack of the app in ``root``; what the template retains stays."""
    cdk = _Cdk(cloud, root, on_progress)
    if not (_assembly(cloud) / "manifest.json").exists():
        cdk.finish(cdk.synthesise(stage, catalog))
    started = datetime.now(UTC)
    arguments = ("destroy", "--all", "--force", "--app", str(_assembly(cloud)))
    cdk.run(*arguments, reasons=lambda: _reasons(cloud, started))


def _other_regions(cloud: Cloud) -> list[str]:
    """The regions besides the cloud's own that the synthesised stacks stand in."""
    manifest = json.loads((_assembly(cloud) / "manifest.json").read_text("utf-8"))
    places = [artifact.get("environment", "") for artifact in manifest.get("artifacts", {}).values()]
    return sorted({place.rpartition("/")[2] for place in places if place} - {cloud.region, _UNKNOWN})


def _assembly(cloud: Cloud) -> Path:
    return cloud.home / "cdk.out"


def _context(stage: str, catalog: Path | None) -> list[str]:
    chosen = ["--context", f"stage={stage}"]
    return [*chosen, "--context", f"catalog={catalog.resolve()}"] if catalog else chosen


class _Cdk:
    """The project's CDK command line, in an environment that knows one cloud and no real account."""

    def __init__(self, cloud: Cloud, root: Path, on_progress: Progress) -> None:
        self._program = _NODE_MODULES / ".bin" / "cdk"
        if not self._program.exists():
            raise LocalCloudError(
                f"the CDK command line is missing: `{self._program}`", hint="Run `make setup`."
            )
        self._cloud = cloud
        self._environment = _environment(cloud)
        self._root = root
        self._on_progress = on_progress

    def synthesise(self, stage: str, catalog: Path | None) -> _Step:
        """Start to write the templates; what that prints matters only if it fails."""
        self._on_progress(f"synthesising stage {stage}")
        output = ("--quiet", "--output", str(_assembly(self._cloud)))
        return self.start("synth", *output, *_context(stage, catalog), on_progress=lambda _: None)

    def run(
        self, *arguments: str, cwd: Path | None = None, reasons: Callable[[], list[str]] | None = None
    ) -> None:
        self.finish(self.start(*arguments, cwd=cwd), reasons)

    def start(self, *arguments: str, cwd: Path | None = None, on_progress: Progress | None = None) -> _Step:
        command = [str(self._program), *arguments, *_QUIET]
        progress = on_progress or self._on_progress
        return _Step(arguments[0], command, cwd or self._root, self._environment, progress)

    def finish(self, step: _Step, reasons: Callable[[], list[str]] | None = None) -> None:
        if step.succeeded():
            return
        found = (reasons() if reasons else []) or step.failures()
        raise LocalCloudError(
            "\n".join([f"`cdk {step.name}` failed", *(f"  {line}" for line in found)]),
            hint="Correct what the reasons name, then deploy again.",
        )


class _Step:
    """One run of the CDK whose lines are passed on as they come."""

    def __init__(
        self, name: str, command: Sequence[str], cwd: Path, environment: dict[str, str], on_progress: Progress
    ) -> None:
        self.name = name
        self._lines: list[str] = []
        self._on_progress = on_progress
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            # A group of its own, so that an interruption ends the app that the CDK runs, too.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def succeeded(self) -> bool:
        """Wait for the end; interrupted, take the CDK along."""
        try:
            self._process.wait()
            self._reader.join()
        except BaseException:
            self.end()
            raise
        return self._process.returncode == 0

    def end(self) -> None:
        """End the CDK and the app that it runs, now."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()

    def failures(self) -> list[str]:
        """Return the lines that say what went wrong, or the last ones if none does."""
        return [line for line in self._lines if _FAILED.search(line)][-_TAIL:] or self._lines[-_TAIL:]

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for raw in output:
                line = _ANSI.sub("", raw).strip()
                if line:
                    self._lines.append(line)
                    self._on_progress(line)


def _environment(cloud: Cloud) -> dict[str, str]:
    """The caller's environment without its AWS and CDK settings, and with this cloud's."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CDK_"))}
    # The interpreter that runs us runs the app; Node comes from the project's tools, else from the system.
    programs = [str(Path(sys.executable).parent), str(_NODE_MODULES / ".bin"), kept.get("PATH", os.defpath)]
    return {**kept, **cloud.environment(), "PATH": os.pathsep.join(programs), "CI": "1"}


def _is_bootstrapped(cloud: Cloud) -> bool:
    try:
        stacks = _cloudformation(cloud).describe_stacks(StackName=_TOOLKIT)["Stacks"]
    except ClientError:
        return False
    return bool(stacks and stacks[0]["StackStatus"].endswith("_COMPLETE"))


def _reasons(cloud: Cloud, since: datetime) -> list[str]:
    """Return what CloudFormation says about each resource that failed since then."""
    cloudformation = _cloudformation(cloud)
    found = []
    for stack in cloudformation.describe_stacks()["Stacks"]:
        for event in cloudformation.describe_stack_events(StackName=stack["StackId"])["StackEvents"]:
            reason = event.get("ResourceStatusReason")
            if event["ResourceStatus"].endswith("_FAILED") and reason and event["Timestamp"] >= since:
                found.append(f"{event['StackName']}/{event['LogicalResourceId']}: {reason}")
    return list(dict.fromkeys(reversed(found)))


def _cloudformation(cloud: Cloud) -> Any:
    certificate = cloud.environment().get("AWS_CA_BUNDLE")
    return boto3.client(
        "cloudformation",
        endpoint_url=cloud.endpoint_url,
        region_name=cloud.region,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  (the embedded cloud's own)
        verify=certificate or True,
    )
