"""The one place of this room's data that speaks to AWS: reading objects below a prefix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from training.errors import DataError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


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
