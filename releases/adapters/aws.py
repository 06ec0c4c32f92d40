"""Lambda through boto3. The only module of this room that imports it.

Every botocore error leaves here as a ``ReleaseError``: what is not there is ``None``, what somebody
else changed first is ``LostRaceError``, what may work later is ``ServiceError``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from model_store.contract.digest import Digest
from model_store.contract.errors import AccessDeniedError
from model_store.contract.placement import DEFAULT_EPHEMERAL_MB
from model_store.ports import ObjectStore
from releases.errors import DisagreementError, LostRaceError, NotDeployedError, ReleaseError, ServiceError
from releases.ports import AliasState, Concurrency, FunctionConfig, Invocation, Provisioned

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient

    from model_store.adapters.s3 import Credentials

DIRECT_ARCHIVE_BYTES = 45_000_000
"""Layers above this travel through S3: a request to Lambda may carry 50 MB of zip."""

# A golden sample may run as long as a function may (15 minutes at most); API calls answer in seconds.
_READ_TIMEOUT_S = 910
_CONNECT_TIMEOUT_S = 5

# A deploy prepares many models side by side.
_CONNECTIONS = 40

_GONE = frozenset({"ResourceNotFoundException", "ProvisionedConcurrencyConfigNotFoundException"})
_RACED = frozenset({"PreconditionFailedException", "ResourceConflictException"})
_DENIED = frozenset(
    {"AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "ExpiredTokenException"}
)
_REFUSED = frozenset(
    {"InvalidParameterValueException", "CodeStorageExceededException", "InvalidCodeException"}
)


def lambda_client(
    region: str | None = None, *, attempts: int = 5, credentials: Credentials | None = None
) -> LambdaClient:
    """A client whose retries are safe: every call here may be repeated.

    With ``credentials`` it speaks as whom they belong to, not as this machine does.
    """
    config = Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": attempts},
        tcp_keepalive=True,
        max_pool_connections=_CONNECTIONS,
    )
    return boto3.client(
        "lambda",
        region_name=region,
        config=config,
        aws_access_key_id=credentials.access_key if credentials else None,
        aws_secret_access_key=credentials.secret_key if credentials else None,
        aws_session_token=credentials.token if credentials else None,
    )


class LambdaFunctions:
    """``releases.ports.Functions`` on AWS Lambda."""

    def __init__(self, store: ObjectStore, *, bucket: str, client: LambdaClient | None = None) -> None:
        self._store = store
        self._bucket = bucket
        self._lambda = client or lambda_client()

    def config(self, function: str, qualifier: str | None = None) -> FunctionConfig | None:
        asked: dict[str, Any] = {"FunctionName": function}
        if qualifier is not None:
            asked["Qualifier"] = qualifier
        try:
            with translated(f"the function `{function}`"):
                return read_config(function, self._lambda.get_function_configuration(**asked))
        except NotDeployedError:
            return None

    def configure(
        self, function: str, *, layers: tuple[str, ...], environment: dict[str, str], revision: str
    ) -> None:
        with translated(f"the function `{function}`"):
            self._lambda.update_function_configuration(
                FunctionName=function,
                Layers=list(layers),
                Environment={"Variables": environment},
                RevisionId=revision,
            )

    def publish(self, function: str, *, description: str, code_sha256: str, revision: str) -> FunctionConfig:
        with translated(f"the function `{function}`"):
            published = self._lambda.publish_version(
                FunctionName=function,
                Description=description,
                CodeSha256=code_sha256,
                RevisionId=revision,
            )
        return read_config(function, published)

    def publish_layer(self, name: str, archive: bytes, *, description: str, architecture: str) -> str:
        content: dict[str, Any] = {"ZipFile": archive}
        if len(archive) > DIRECT_ARCHIVE_BYTES:
            key = f"layers/{Digest.of(archive).hex}.zip"
            self._store.put_once(key, archive)
            content = {"S3Bucket": self._bucket, "S3Key": key}
        with translated(f"the layer `{name}`"):
            made = self._lambda.publish_layer_version(
                LayerName=name,
                Description=description[:256],
                Content=content,  # type: ignore[arg-type]  # one of the two shapes, see above
                CompatibleArchitectures=[architecture],  # type: ignore[list-item]
            )
        return made["LayerVersionArn"]

    def layer_exists(self, arn: str) -> bool:
        name, version = arn.rsplit(":", 1)
        try:
            with translated(f"the layer `{arn}`"):
                self._lambda.get_layer_version(LayerName=name, VersionNumber=int(version))
        except NotDeployedError:
            return False
        return True

    def alias(self, function: str, alias: str) -> AliasState | None:
        try:
            with translated(f"the alias `{alias}` of `{function}`"):
                return _alias(function, self._lambda.get_alias(FunctionName=function, Name=alias))
        except NotDeployedError:
            return None

    def aliases(self, function: str) -> list[AliasState]:
        try:
            with translated(f"the aliases of `{function}`"):
                pages = self._lambda.get_paginator("list_aliases").paginate(FunctionName=function)
                return [_alias(function, body) for page in pages for body in page["Aliases"]]
        except NotDeployedError:
            return []

    def create_alias(self, function: str, alias: str, *, version: str, note: str) -> AliasState:
        with translated(f"the alias `{alias}` of `{function}`"):
            made = self._lambda.create_alias(
                FunctionName=function, Name=alias, FunctionVersion=version, Description=note
            )
        return _alias(function, made)

    def move_alias(self, function: str, alias: str, *, version: str, note: str, revision: str) -> AliasState:
        with translated(f"the alias `{alias}` of `{function}`"):
            moved = self._lambda.update_alias(
                FunctionName=function,
                Name=alias,
                FunctionVersion=version,
                Description=note,
                RoutingConfig={"AdditionalVersionWeights": {}},
                RevisionId=revision,
            )
        return _alias(function, moved)

    def weigh_alias(
        self, function: str, alias: str, *, weights: dict[str, float], note: str, revision: str
    ) -> AliasState:
        with translated(f"the alias `{alias}` of `{function}`"):
            weighed = self._lambda.update_alias(
                FunctionName=function,
                Name=alias,
                Description=note,
                RoutingConfig={"AdditionalVersionWeights": weights},
                RevisionId=revision,
            )
        return _alias(function, weighed)

    def concurrency(self, function: str) -> Concurrency:
        with translated("the account's concurrency"):
            limit = self._lambda.get_account_settings()["AccountLimit"]
        with translated(f"the function `{function}`"):
            own = self._lambda.get_function_concurrency(FunctionName=function)
        return Concurrency(
            account=limit["ConcurrentExecutions"],
            unreserved=limit["UnreservedConcurrentExecutions"],
            reserved=own.get("ReservedConcurrentExecutions"),
        )

    def provision(self, function: str, version: str, executions: int) -> None:
        with translated(f"the provisioned concurrency of version {version} of `{function}`"):
            self._lambda.put_provisioned_concurrency_config(
                FunctionName=function, Qualifier=version, ProvisionedConcurrentExecutions=executions
            )

    def unprovision(self, function: str, version: str) -> None:
        try:
            with translated(f"version {version} of `{function}`"):
                self._lambda.delete_provisioned_concurrency_config(FunctionName=function, Qualifier=version)
        except NotDeployedError:
            return

    def provisioned(self, function: str) -> dict[str, Provisioned]:
        with translated(f"the provisioned concurrency of `{function}`"):
            pages = self._lambda.get_paginator("list_provisioned_concurrency_configs")
            found = [
                _provisioned(item)
                for page in pages.paginate(FunctionName=function)
                for item in page["ProvisionedConcurrencyConfigs"]
            ]
        return {item.version: item for item in found}

    def invoke(self, function: str, qualifier: str, event: dict[str, Any]) -> Invocation:
        with translated(f"version {qualifier} of `{function}`"):
            answer = self._lambda.invoke(
                FunctionName=function,
                Qualifier=qualifier,
                Payload=json.dumps(event).encode(),
                LogType="Tail",
            )
            payload = json.loads(answer["Payload"].read() or b"null")
        error = None
        if answer.get("FunctionError"):
            said = payload if isinstance(payload, dict) else {}
            error = f"{said.get('errorType', 'error')}: {said.get('errorMessage', payload)}"
        log = base64.b64decode(answer.get("LogResult", "")).decode("utf-8", "replace")
        return Invocation(
            payload=payload,
            executed_version=answer.get("ExecutedVersion", ""),
            error=error,
            log=tuple(line for line in log.splitlines() if line.strip()),
        )


def read_config(function: str, body: Any) -> FunctionConfig:
    """Read ``FunctionConfiguration``; ``body`` is a typed dict whose every key may be missing."""
    return FunctionConfig(
        function=function,
        version=body["Version"],
        revision=body["RevisionId"],
        code_sha256=body["CodeSha256"],
        layers=tuple(layer["Arn"] for layer in body.get("Layers", [])),
        environment=dict(body.get("Environment", {}).get("Variables", {})),
        memory_mb=body["MemorySize"],
        timeout_s=body["Timeout"],
        runtime=body.get("Runtime", ""),
        handler=body.get("Handler", ""),
        role=body["Role"],
        architecture=(body.get("Architectures") or ["x86_64"])[0],
        snap_start=(body.get("SnapStart") or {}).get("ApplyOn", "None"),
        state=body.get("State", "Active"),
        state_reason=body.get("StateReason", ""),
        update=body.get("LastUpdateStatus", "Successful"),
        update_reason=body.get("LastUpdateStatusReason", ""),
        ephemeral_mb=(body.get("EphemeralStorage") or {}).get("Size", DEFAULT_EPHEMERAL_MB),
    )


def _provisioned(body: Any) -> Provisioned:
    return Provisioned(
        version=body["FunctionArn"].rsplit(":", 1)[1],
        requested=body["RequestedProvisionedConcurrentExecutions"],
        state=body["Status"],
        reason=body.get("StatusReason", ""),
    )


def _alias(function: str, body: Any) -> AliasState:
    weights = (body.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    return AliasState(
        function=function,
        alias=body["Name"],
        version=body["FunctionVersion"],
        revision=body["RevisionId"],
        note=body.get("Description", ""),
        weights={version: float(share) for version, share in weights.items() if share},
    )


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Let nothing of botocore out; ``what`` is what was asked about, in words."""
    try:
        yield
    except ClientError as error:
        raise _meaning(what, error) from error
    except BotoCoreError as error:
        raise ServiceError(
            f"Lambda did not answer for {what}: {error}",
            hint="Check the network and the credentials, then run the same command again.",
        ) from error


def _meaning(what: str, error: ClientError) -> ReleaseError | AccessDeniedError:
    code = error.response["Error"]["Code"]
    said = error.response["Error"].get("Message", "")
    if code in _GONE:
        return NotDeployedError(
            f"{what} does not exist", hint="Run `cdk deploy --all` for this stage, then repeat."
        )
    if code in _RACED:
        return LostRaceError(
            f"{what} was changed by somebody else meanwhile: {said}",
            hint="Look at `yard status`, decide again, and repeat the command if it is still right.",
        )
    if code in _DENIED:
        return AccessDeniedError(
            f"AWS denies access to {what}: {said}", hint="Use credentials that may release this model."
        )
    if code in _REFUSED:
        return DisagreementError(f"Lambda refused {what}: {said}")
    return ServiceError(f"Lambda answered {code} for {what}: {said}", hint="Run the same command again.")
