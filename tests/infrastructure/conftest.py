"""One synth for all: two stages of a catalog with two models, with a stand-in for the runtime layer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from catalog import Catalog, Lock, load_catalog
from catalog.lock import LockedFile, LockedVersion
from infra.checks import synthesise, with_stand_ins
from model_store.contract.digest import Digest
from model_store.contract.names import ByVersion

ROOT = Path(__file__).parents[2]

CATALOG = """
[stages.local]
auth = "none"
keep_data = false
endpoint_image = "switchyard-endpoint:local"
vpc = "vpc-0123456789abcdef0"
vpc_subnets = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
runtime_layer = "build/layers/none"

[stages.prod]
runtime_layer = "build/layers/none"
vpc_subnets = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
vpc_security_groups = ["sg-0123456789abcdef0"]
vpc = "vpc-0123456789abcdef0"
grpc_certificate = "arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
grpc_callers = ["10.0.0.0/16"]
endpoint_key = "arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
throttle_rate = 50
throttle_burst = 70
log_retention_days = 90

[stages.prod.training]
image = "763104351884.dkr.ecr.eu-central-1.amazonaws.com/pytorch-training:2.13-cpu"
instance_type = "ml.g5.xlarge"
reads = ["arn:aws:s3:::lake/fraud/*"]

[stages.prod.training.spark]
image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/switchyard-spark:7.11.0"

[stages.local.training]
image = "switchyard-training:local"
spot = false

[stages.local.training.spark]
image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/switchyard-spark:7.11.0"
max_vcpu = 8
max_memory_gb = 32

[stages.prod.messages]
email = ["oncall@example.com", "team@example.com"]
slack_webhook = "/switchyard/prod/slack"
pagerduty_key = "/switchyard/prod/pagerduty"

[stages.local.messages]
email = ["oncall@example.com", "team@example.com"]

[stages.partner]
auth = "jwt"
rebase = "waves"
signed_by = "arn:aws:kms:eu-central-1:123456789012:key/89abcdef-0123-4567-89ab-cdef01234567"
vpc = "vpc-0123456789abcdef0"
vpc_subnets = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
vpc_security_groups = ["sg-0123456789abcdef0"]
grpc_certificate = "arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
grpc_callers = ["10.0.0.0/16"]
runtime_layer = "build/layers/none"

[stages.partner.jwt]
issuer = "https://login.example/tenant"
audience = ["models", "reports"]
scopes = ["models/infer"]

[stages.partner.replica]
bucket = "arn:aws:s3:::models-copy"
key = "arn:aws:kms:eu-west-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"

[models.digits]
target = "lambda"
memory_mb = 1024
timeout_s = 10
rollback_depth = 3

[models.digits.stages.local]
memory_mb = 512

[models.fraud-eu]
target = "lambda"
timeout_s = 29
snapstart = false
ephemeral_mb = 2048
max_batch = 64
throttle_rate = 5
explain = true
handoff = true
queue = true
inbox = true
aliases = ["live", "candidate"]
provisioned_concurrency = 4

[models.fraud-eu.capture]
rate = 0.05
rows_per_hour = 500
drop = ["iban"]
retention_days = 14
window_hours = 48
drift_psi = 0.2
min_accuracy = 0.9

[models.fraud-eu.pipeline]
file = "examples/digits/pipeline.toml"
schedule = "rate(7 days)"
on_new_data = true
on_drift = true

[models.bert.capture]
rate = 0.01

[models.bert]
target = "sagemaker"
versions = [3, 4]
adopted = ["their-bert"]
instance_type = "ml.g5.xlarge"
max_instances = 4
target_invocations_per_instance = 600
max_batch = 16
timeout_s = 29
keep_warm = "2d"

[models.bert.stages.local]
versions = [1]
instance_type = "ml.m5.large"
max_instances = 1

[models.clip]
target = "ec2"
versions = [7]
instance_type = "g5.xlarge"
min_instances = 2
max_instances = 6
warm_instances = 1
target_invocations_per_instance = 900
target_gpu_utilization = 70
timeout_s = 20
"""


def _locked(version: int, size: int = 100 * 1024**2, model: str = "bert") -> LockedVersion:
    file = LockedFile("model.onnx", Digest.of(f"{model} {version}".encode()), size)
    return LockedVersion(
        ByVersion(model, version), file.digest, Digest.of(b"manifest"), "onnx", file.path, (file,)
    )


LOCK = Lock(
    {
        "prod": {"bert": {3: _locked(3), 4: _locked(4)}, "clip": {7: _locked(7, model="clip")}},
        "local": {"bert": {1: _locked(1)}, "clip": {7: _locked(7, model="clip")}},
        "partner": {"bert": {3: _locked(3), 4: _locked(4)}, "clip": {7: _locked(7, model="clip")}},
    },
)

Template = dict[str, Any]
Resource = dict[str, Any]


@dataclass(frozen=True)
class Deployed:
    """The templates of one stage, by concern: ``Store``, ``Model-digits`` …"""

    stage: str
    out: Path
    templates: dict[str, Template]

    def resources(self, concern: str, type_: str) -> dict[str, Resource]:
        every = self.templates[concern]["Resources"]
        return {id_: resource for id_, resource in every.items() if resource["Type"] == type_}

    def only(self, concern: str, type_: str) -> Resource:
        (resource,) = self.resources(concern, type_).values()
        return resource

    def statements(self, concern: str, type_: str = "AWS::IAM::Policy") -> list[dict[str, Any]]:
        """Every statement of every policy, with its actions as a list."""
        found = []
        for policy in self.resources(concern, type_).values():
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                actions = statement["Action"]
                found.append({**statement, "Action": [actions] if isinstance(actions, str) else actions})
        return found

    def depends_on(self, concern: str) -> set[str]:
        """The concerns that are deployed before ``concern``."""
        prefix = f"Switchyard-{self.stage}-"
        manifest = json.loads((self.out / "manifest.json").read_text())
        before = manifest["artifacts"][prefix + concern].get("dependencies", [])
        return {
            name.removeprefix(prefix) for name in before if name.startswith(prefix) and ".assets" not in name
        }


def text_of(value: Any) -> str:
    """A value as one text, with ``<Ref>`` and ``<Id.Attribute>`` for what is known at deploy time."""
    if isinstance(value, dict):
        ((kind, argument),) = value.items()
        if kind == "Ref":
            return f"<{argument}>"
        if kind == "Fn::GetAtt":
            return f"<{'.'.join(argument)}>"
        if kind == "Fn::Join":
            return str(argument[0]).join(text_of(part) for part in argument[1])
        if kind == "Fn::Sub":
            return str(argument).replace("${", "<").replace("}", ">")
        raise AssertionError(f"unexpected intrinsic {kind}")
    return str(value)


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("catalog")
    (folder / "models.toml").write_text(CATALOG)
    with_layers, stand_ins = with_stand_ins(load_catalog(folder / "models.toml"), ROOT, folder)
    assert stand_ins == ["local", "prod", "partner"]
    return with_layers


@pytest.fixture(scope="session")
def node_of_the_project() -> Iterator[None]:
    """Run CDK on the pinned Node where it is installed; an older one prints warnings."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PATH", f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}")
    for name in ("CDK_DEFAULT_ACCOUNT", "CDK_DEFAULT_REGION"):
        patch.delenv(name, raising=False)
    yield
    patch.undo()


def _synthesised(catalog: Catalog, stage: str, out: Path) -> Deployed:
    return deployed_in(stage, synthesise(catalog, stage, root=ROOT, out=out, lock=LOCK))


def deployed_in(stage: str, out: Path) -> Deployed:
    """The templates that a synth left in ``out``."""
    templates = {
        path.name.removesuffix(".template.json").removeprefix(f"Switchyard-{stage}-"): json.loads(
            path.read_text()
        )
        for path in out.glob("*.template.json")
    }
    return Deployed(stage, out, templates)


@pytest.fixture(scope="session")
def prod(catalog: Catalog, node_of_the_project: None, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return _synthesised(catalog, "prod", tmp_path_factory.mktemp("prod"))


@pytest.fixture(scope="session")
def local(catalog: Catalog, node_of_the_project: None, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return _synthesised(catalog, "local", tmp_path_factory.mktemp("local"))


@pytest.fixture(scope="session")
def partner(
    catalog: Catalog, node_of_the_project: None, tmp_path_factory: pytest.TempPathFactory
) -> Deployed:
    """A stage whose callers show tokens."""
    return _synthesised(catalog, "partner", tmp_path_factory.mktemp("partner"))


DOORS = """
[stages.open]
api = "rest"
auth = "jwt"
throttle_rate = 50
throttle_burst = 70
runtime_layer = "build/layers/none"

[stages.open.jwt]
issuer = "https://login.example/tenant"
audience = ["models", "reports"]
scopes = ["models/infer"]

[stages.open.rest.waf]
rate_per_address = 2000

[stages.open.callers.shop]
rate = 20
burst = 40
quota = 100_000
period = "week"
keys = ["2026-11", "2026-12"]

[stages.open.callers.nightly-batch]
rate = 5
burst = 5

[stages.inner]
api = "rest"
runtime_layer = "build/layers/none"

[stages.inner.rest]
vpc_endpoints = ["vpce-0123456789abcdef0", "vpce-0123456789abcdef1"]
logs_role = false

[models.digits]
target = "lambda"
timeout_s = 10

[models.fraud-eu]
target = "lambda"
timeout_s = 28
throttle_rate = 5
aliases = ["live", "candidate"]
"""
"""Two stages whose door is a REST API: one on the internet with everything, one in a network."""


@pytest.fixture(scope="session")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("doors")
    (folder / "models.toml").write_text(DOORS)
    found, _ = with_stand_ins(load_catalog(folder / "models.toml"), ROOT, folder)
    return found


@pytest.fixture(scope="session")
def keyed(doors: Catalog, node_of_the_project: None, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """A REST API with tokens, keys and a firewall."""
    return _synthesised(doors, "open", tmp_path_factory.mktemp("keyed"))


@pytest.fixture(scope="session")
def inner(doors: Catalog, node_of_the_project: None, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """A REST API that exists in a network only."""
    return _synthesised(doors, "inner", tmp_path_factory.mktemp("inner"))


@pytest.fixture(scope="session", params=["prod", "local"])
def stage(request: pytest.FixtureRequest) -> Deployed:
    found: Deployed = request.getfixturevalue(request.param)
    return found
