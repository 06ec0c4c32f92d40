"""The one place of this room's data that speaks to AWS: objects below a prefix, and what a stage captured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from model_store.adapters.s3 import S3Store
from model_store.contract.deployment import capture_bucket_parameter
from training.errors import DataError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_ssm import SSMClient


def kept_requests(stage: str, *, ssm: SSMClient | None = None, client: S3Client | None = None) -> S3Store:
    """Where a stage keeps requests.

    Needs ``ssm:GetParameter``; reading needs ``s3:ListBucket``, ``s3:GetObject`` and ``kms:Decrypt``.
    """
    name = capture_bucket_parameter(stage)
    asked: SSMClient = ssm or boto3.client("ssm")
    try:
        bucket = asked.get_parameter(Name=name)["Parameter"]["Value"]
    except asked.exceptions.ParameterNotFound as error:
        raise DataError(
            f"stage `{stage}` keeps no requests",
            hint="Add `[models.NAME.capture]` with a `rate` to the catalog, deploy, and release again.",
        ) from error
    except (ClientError, BotoCoreError) as error:
        raise DataError(
            f"the parameter `{name}` cannot be read: {error}",
            hint="Check the stage, the region and the permission `ssm:GetParameter`.",
        ) from error
    return S3Store(bucket, client=client)


def put_folder(folder: Path, uri: str, *, last: str, client: S3Client | None = None) -> None:
    """Upload what is below ``folder`` to ``uri`` (``s3://BUCKET/PREFIX/``), its file ``last`` at the end.

    Needs ``s3:PutObject``, ``s3:AbortMultipartUpload`` and the bucket's key. May be repeated.
    """
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    asked: S3Client = client or boto3.client("s3")
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    try:
        for path in sorted(found, key=lambda path: path == folder / last):
            asked.upload_file(str(path), bucket, prefix + path.relative_to(folder).as_posix())
    except (ClientError, BotoCoreError, S3UploadFailedError) as error:
        raise DataError(
            f"`{uri}` cannot be written: {error}",
            hint="Check the region and the permission `s3:PutObject` there.",
        ) from error


class S3Bucket:
    """Reads only; needs ``s3:ListBucket`` and ``s3:GetObject``."""

    def __init__(self, name: str, *, client: S3Client | None = None) -> None:
        self._name = name
        self._client: S3Client = client or boto3.client("s3")

    def keys(self, prefix: str) -> list[str]:
        with self._translated(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix)
            return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def get(self, key: str) -> bytes:
        with self._translated(key):
            return self._client.get_object(Bucket=self._name, Key=key)["Body"].read()

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise DataError(
                f"`s3://{self._name}/{key}` cannot be read: {error}",
                hint="Check the prefix, the region and the permissions `s3:ListBucket` and `s3:GetObject`.",
            ) from error
