"""Finding a deployed stage by its name: no ARN is ever copied by hand."""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_store.contract.deployment import (
    alarm_period_parameter,
    alarm_topic_parameter,
    api_auth_parameter,
    api_key_parameter,
    api_kind_parameter,
    api_url_parameter,
    bucket_parameter,
    capture_bucket_parameter,
    check_stage,
    collector_role_parameter,
    lease_parameter,
    parameters_path,
    shifts_machine_parameter,
    signed_by_parameter,
    training_parameter,
)
from model_store.contract.environment import TRAINING_BUCKET
from model_store.contract.errors import CatalogError, SwitchyardError
from releases.errors import NotDeployedError, ServiceError

if TYPE_CHECKING:
    from catalog.schema import Catalog
    from dashboards.ports import BoardReader
    from model_store.adapters.s3 import Credentials, S3Store
    from model_store.adapters.s3_collector import S3Collector
    from model_store.signatures import SigningKeys
    from releases.adapters.aws_collector import LambdaCollector
    from releases.adoption import AskedEndpoint, Fronts
    from releases.quotas import Quotas
    from releases.stage import Stage
    from switchyard_client.auth import AuthWord
    from telemetry.ports import Lines, Numbers

LOCAL = "local"
"""The stage that lives on the embedded cloud."""

CATALOG_FILE = "models.toml"


class CloudNotRunningError(SwitchyardError):
    """The stage is on the embedded cloud, and that is not running."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where one stage is: the store's bucket, the API's address and how it authorises."""

    stage: str
    bucket: str
    api_url: str | None
    auth: AuthWord
    collector_role: str | None = None
    shifts: str | None = None
    alarm_topic: str | None = None
    alarm_period_s: int = 60
    lease_s: float = 180.0
    capture_bucket: str | None = None
    signed_by: str | None = None
    api_kind: str = "http"
    asks_for_key: bool = False
    training: Mapping[str, Any] | None = None
    """Where training jobs run and as whom; none where the stage has no training."""

    def asked_endpoint(self, name: str) -> AskedEndpoint:
        """A SageMaker endpoint that was there before there was a stage."""
        from releases.adapters.sagemaker_runtime import AskedSageMakerEndpoint

        return AskedSageMakerEndpoint(name)

    def fronts(self) -> Fronts:
        """HTTP APIs that callers used before there was a stage."""
        from releases.adapters.http_apis import HttpApiFronts

        return HttpApiFronts()

    def keys(self) -> SigningKeys:
        """Keys of KMS, in the name of whoever runs the command."""
        from model_store.adapters.kms import KmsKeys

        return KmsKeys()

    def store(self) -> S3Store:
        from model_store.adapters.s3 import S3Store

        return S3Store(self.bucket)

    def numbers(self) -> Numbers:
        """CloudWatch's metrics and alarms, to be read."""
        from telemetry.adapters.cloudwatch import CloudWatchNumbers

        return CloudWatchNumbers()

    def lines(self) -> Lines:
        """CloudWatch's logs, to be read."""
        from telemetry.adapters.logs import CloudWatchLines

        return CloudWatchLines()

    def boards(self) -> BoardReader:
        """CloudWatch's dashboards, and what they ask for, to be read."""
        from dashboards.adapters.cloudwatch import CloudWatchBoards

        return CloudWatchBoards()

    def now(self) -> float:
        """Seconds since 1970, by this machine's clock."""
        return time.time()

    def collector(self, *, assume: bool = False) -> CollectedBy:
        """The store, and who may delete from it: as the collector's role if ``assume``, else as the caller.

        A plan needs no role; a deletion by anybody else is refused by the bucket where data is kept.
        """
        from model_store.adapters.s3 import S3Store, s3_client
        from model_store.adapters.s3_collector import S3Collector
        from releases.adapters.aws import lambda_client
        from releases.adapters.aws_collector import LambdaCollector

        credentials = self._collector_credentials() if assume else None
        # A deletion is sent once: one that is repeated after a pause would be signed anew.
        once = s3_client(credentials=credentials, attempts=1)
        store = S3Store(self.bucket, client=s3_client(credentials=credentials))
        functions = LambdaCollector(deletes=lambda_client(attempts=1, credentials=credentials))
        return CollectedBy(store, S3Collector(self.bucket, client=once), functions)

    def _collector_credentials(self) -> Credentials:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError

        from model_store.adapters.s3 import Credentials

        if self.collector_role is None:
            raise NotDeployedError(
                f"stage `{self.stage}` has no role that may delete",
                hint=f"Deploy it again: `cdk deploy --all -c stage={self.stage}`.",
            )
        try:
            answer = boto3.client("sts").assume_role(
                RoleArn=self.collector_role, RoleSessionName=f"yard-{getpass.getuser()[:32]}"
            )
        except (ClientError, BotoCoreError) as error:
            raise ServiceError(
                f"AWS does not let you act as `{self.collector_role}`: {error}",
                hint="Ask for `sts:AssumeRole` on that role; the catalog's `collectors` may name who has it.",
            ) from error
        given = answer["Credentials"]
        return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    def releases(self, say: Callable[[str], None]) -> Stage:
        """The release room of this stage, in the name of whoever runs the command."""
        from model_store.contract.endpoints import EC2, SAGEMAKER
        from releases.adapters.aws import LambdaFunctions
        from releases.adapters.cloudwatch import CloudWatchMonitoring
        from releases.adapters.cloudwatch_logs import CloudWatchJournal
        from releases.adapters.ec2 import FleetEndpoints
        from releases.adapters.elb import ElbGrpcCalls
        from releases.adapters.sagemaker import SageMakerEndpoints
        from releases.adapters.step_functions import StepFunctionsExecutions
        from releases.ports import SystemClock
        from releases.stage import Stage

        store = self.store()
        return Stage(
            self.stage,
            store,
            LambdaFunctions(store, bucket=self.bucket),
            SystemClock(),
            by=caller(),
            say=say,
            monitoring=CloudWatchMonitoring(topic=self.alarm_topic) if self.alarm_topic else None,
            executions=StepFunctionsExecutions(self.shifts) if self.shifts else None,
            journal=CloudWatchJournal(),
            alarm_period_s=self.alarm_period_s,
            endpoints={SAGEMAKER: SageMakerEndpoints(), EC2: FleetEndpoints()},
            grpc=ElbGrpcCalls(self.stage),
            lease_s=self.lease_s,
            keys=self.keys() if self.signed_by else None,
            signed_by=self.signed_by,
        )


@dataclass(frozen=True, slots=True)
class CollectedBy:
    """A store, and ways to delete from it and from Lambda."""

    store: S3Store
    deletes: S3Collector
    functions: LambdaCollector


def find(stage: str) -> Deployment:
    """Look up what ``cdk deploy`` left for ``stage``: one call, by name."""
    check_stage(stage)
    reach(stage)
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    names = parameters_path(stage)
    try:
        pages = boto3.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=names)
        found = {item["Name"]: item["Value"] for page in pages for item in page["Parameters"]}
    except (ClientError, BotoCoreError) as error:
        raise ServiceError(
            f"AWS did not say where stage `{stage}` is: {error}",
            hint="Check the credentials and the region (AWS_PROFILE, AWS_REGION), then repeat.",
        ) from error
    if bucket_parameter(stage) not in found:
        raise NotDeployedError(
            f"stage `{stage}` is not deployed in this account and region",
            hint="Run `yard local up` first."
            if stage == LOCAL
            else f"Run `cdk deploy --all -c stage={stage}` first.",
        )
    return Deployment(
        stage=stage,
        bucket=found[bucket_parameter(stage)],
        api_url=found.get(api_url_parameter(stage)),
        collector_role=found.get(collector_role_parameter(stage)),
        auth=_auth(found.get(api_auth_parameter(stage))),
        shifts=found.get(shifts_machine_parameter(stage)),
        alarm_topic=found.get(alarm_topic_parameter(stage)),
        alarm_period_s=int(found.get(alarm_period_parameter(stage), "60")),
        lease_s=float(found.get(lease_parameter(stage), "180")),
        capture_bucket=found.get(capture_bucket_parameter(stage)),
        signed_by=found.get(signed_by_parameter(stage)),
        api_kind=found.get(api_kind_parameter(stage), "http"),
        asks_for_key=found.get(api_key_parameter(stage)) == "required",
        training=_training(found.get(training_parameter(stage))),
    )


def _training(written: str | None) -> Mapping[str, Any] | None:
    """Read where jobs run, and let a ``data.toml`` that names no bucket mean the stage's."""
    if written is None:
        return None
    found: dict[str, Any] = json.loads(written)
    os.environ[TRAINING_BUCKET] = found["bucket"]
    return found


def _auth(written: str | None) -> AuthWord:
    """How the API authorises; IAM where nobody said, because signing what needs no signature does no harm."""
    return "none" if written == "none" else "jwt" if written == "jwt" else "iam"


def reach(stage: str) -> None:
    """Point this process at the embedded cloud if the stage is the local one and nobody did already."""
    if stage != LOCAL or "AWS_ENDPOINT_URL" in os.environ:
        return
    from local_cloud import cloud

    running = cloud.find(cloud_home())
    if running is None:
        raise CloudNotRunningError(
            "the embedded cloud is not running",
            hint="Start it with `yard local up`, or name another stage with `--stage`.",
        )
    os.environ.update(running.environment())


def quotas() -> Quotas:
    """What this account and region may have, and has."""
    from releases.adapters.service_quotas import AccountQuotas

    return AccountQuotas()


def project_root() -> Path | None:
    """The folder with ``models.toml``, here or above; ``None`` outside a project."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / CATALOG_FILE).is_file()), None)


def cloud_home() -> Path:
    """Where the embedded cloud of this project keeps itself (``SWITCHYARD_HOME`` says otherwise)."""
    if home := os.environ.get("SWITCHYARD_HOME"):
        return Path(home)
    return (project_root() or Path.home()) / ".switchyard" / LOCAL


def catalog_path() -> Path | None:
    """The catalog that commands check names against, if there is one here."""
    if named := os.environ.get("SWITCHYARD_CATALOG"):
        return Path(named)
    root = project_root()
    return root / CATALOG_FILE if root else None


def check_declared(model: str) -> None:
    """Refuse a model that the catalog here does not declare. Without a catalog nothing is refused."""
    path = catalog_path()
    if path is None:
        return
    from catalog.load import load_catalog

    loaded: Catalog = load_catalog(path)
    if model not in loaded.models:
        names = ", ".join(f"`{name}`" for name in loaded.models) or "none yet"
        raise CatalogError(
            f"`{model}` is not in the catalog {path.name} (it declares {names})",
            hint=f'Add `[models.{model}]` with `target = "lambda"` to {path.name}, and deploy.',
        )


def caller() -> str:
    """Who runs this, as AWS knows them; the local user if AWS does not say."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        arn = boto3.client("sts").get_caller_identity()["Arn"]
    except (ClientError, BotoCoreError):
        return f"{getpass.getuser()}@{socket.gethostname()}"
    return arn if "AWS_ENDPOINT_URL" not in os.environ else f"{getpass.getuser()} ({arn})"
