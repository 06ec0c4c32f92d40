"""Takes things out of a bucket, in the name of the one role that may.

A deletion names no version of the object, so on a versioned bucket it leaves a marker: the bytes can be
brought back until the bucket's lifecycle rule ends them. Nobody, this role included, may delete a version
for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC
from typing import TYPE_CHECKING, Any

from model_store.adapters.s3 import translated
from model_store.adapters.s3_upload import UploadGoneError
from model_store.collector import Upload
from model_store.ports import check_key

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class S3Collector:
    """Deletes from one bucket. ``client`` makes each call once (see ``model_store.sweeps``)."""

    def __init__(self, bucket: str, *, client: S3Client) -> None:
        self._bucket = bucket
        self._s3 = client

    def delete(self, key: str) -> None:
        with translated(check_key(key), self._bucket):
            self._s3.delete_object(Bucket=self._bucket, Key=key)

    def uploads(self) -> Iterator[Upload]:
        with translated("the unfinished uploads", self._bucket):
            pages = iter(self._s3.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket))
        while True:
            with translated("the unfinished uploads", self._bucket):
                page = next(pages, None)
            if page is None:
                return
            for item in page.get("Uploads", []):
                with suppress(UploadGoneError):  # completed or ended since it was listed
                    yield self._upload(item)

    def abort(self, upload: Upload) -> None:
        with suppress(UploadGoneError), translated(upload.key, self._bucket):
            self._s3.abort_multipart_upload(Bucket=self._bucket, Key=upload.key, UploadId=upload.id)

    def _upload(self, item: Any) -> Upload:
        key, id_ = item["Key"], item["UploadId"]
        with translated(key, self._bucket):
            pages = self._s3.get_paginator("list_parts").paginate(Bucket=self._bucket, Key=key, UploadId=id_)
            size = sum(part["Size"] for page in pages for part in page.get("Parts", []))
        return Upload(key, id_, item["Initiated"].astimezone(UTC), size)
