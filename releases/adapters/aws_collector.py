"""Takes things out of Lambda, in the name of the one role that may."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from releases.adapters.aws import lambda_client, read_config, translated
from releases.collector import PublishedLayer, PublishedVersion
from releases.errors import NotDeployedError
from releases.ports import LATEST

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient


class LambdaCollector:
    """Reads with ``reads``; deletes with ``deletes``, which makes each call once (``model_store.sweeps``)."""

    def __init__(self, *, reads: LambdaClient | None = None, deletes: LambdaClient | None = None) -> None:
        self._reads = reads or lambda_client()
        self._deletes = deletes or lambda_client(attempts=1)

    def versions(self, function: str) -> list[PublishedVersion]:
        try:
            with translated(f"the versions of `{function}`"):
                pages = self._reads.get_paginator("list_versions_by_function").paginate(FunctionName=function)
                found = [
                    PublishedVersion(
                        read_config(function, body), _moment(body["LastModified"]), body["CodeSize"]
                    )
                    for page in pages
                    for body in page["Versions"]
                    if body["Version"] != LATEST
                ]
        except NotDeployedError:
            return []
        return sorted(found, key=lambda version: int(version.config.version))

    def layers(self, name: str) -> list[PublishedLayer]:
        try:
            with translated(f"the layer `{name}`"):
                pages = self._reads.get_paginator("list_layer_versions").paginate(LayerName=name)
                found = [
                    PublishedLayer(body["LayerVersionArn"], _moment(body["CreatedDate"]))
                    for page in pages
                    for body in page["LayerVersions"]
                ]
        except NotDeployedError:
            return []
        return sorted(found, key=lambda layer: _numbered(layer.arn)[1])

    def layer_size(self, arn: str) -> int:
        name, number = _numbered(arn)
        try:
            with translated(f"the layer `{arn}`"):
                found = self._reads.get_layer_version(LayerName=name, VersionNumber=number)
        except NotDeployedError:
            return 0
        return int(found["Content"]["CodeSize"])

    def delete_version(self, function: str, version: str) -> None:
        # Never without a qualifier: that would delete the function.
        if not version.isdecimal():
            raise ValueError(version)
        with suppress(NotDeployedError), translated(f"version {version} of `{function}`"):
            self._deletes.delete_function(FunctionName=function, Qualifier=version)

    def delete_layer(self, arn: str) -> None:
        name, number = _numbered(arn)
        with suppress(NotDeployedError), translated(f"the layer `{arn}`"):
            self._deletes.delete_layer_version(LayerName=name, VersionNumber=number)


def _published(function: str, body: Any) -> PublishedVersion:
    """Read ``FunctionConfiguration`` of a version: it was modified last when it was published."""
    return PublishedVersion(read_config(function, body), _moment(body["LastModified"]), body["CodeSize"])


def _numbered(arn: str) -> tuple[str, int]:
    """The name and number of a layer's version: ``arn:aws:lambda:REGION:ACCOUNT:layer:NAME:3``."""
    name, number = arn.rsplit(":", 2)[1:]
    return name, int(number)


def _moment(text: str) -> datetime:
    """Lambda writes ``2026-05-17T10:30:05.123+0000``."""
    return datetime.fromisoformat(text).astimezone(UTC)
