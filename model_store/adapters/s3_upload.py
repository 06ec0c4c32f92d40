"""A large file on its way into S3: a multipart upload that can be gone on with.

An upload is found again by its key, which is the digest of the file, and by the checksums of its parts.
So whoever puts the same bytes goes on where a dead process ended, and two who do it at once help each
other: each part is the same, whoever sent it.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, cast

from model_store.contract.digest import Digest
from model_store.contract.errors import AccessDeniedError, ModelStoreError, StoreUnavailableError
from model_store.contract.parts import Part, Parts
from model_store.ports import OnBytes
from model_store.transfer import in_order, persistently

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

_CANDIDATES = 5
"""Unfinished uploads of one key that are looked at; there is one, if any, unless publishers race."""


class MetMidFlightError(StoreUnavailableError):
    """Two conditional writes met and S3 named no winner."""


class UploadGoneError(StoreUnavailableError):
    """Somebody completed or ended the upload; its parts are gone with it."""


@dataclass(slots=True)
class Upload:
    """One multipart upload: the parts that S3 holds, by number, as the completion has to name them."""

    s3: S3Client
    bucket: str
    key: str
    id: str
    asking: Callable[[], AbstractContextManager[None]]
    held: dict[int, CompletedPartTypeDef] = field(default_factory=dict)

    def send(
        self,
        parts: Parts,
        read: Callable[[Part], bytearray],
        on_bytes: OnBytes,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Send the parts that S3 does not hold, each with its sha256, several at once.

        A part that fails is sent again, alone. After an error the parts that arrived stay where they are.
        """
        on_bytes(sum(part.size for part in parts if part.number in self.held))
        missing = [part for part in parts if part.number not in self.held]

        def send(part: Part) -> tuple[Part, CompletedPartTypeDef]:
            data = read(part)  # a part that changed is not tried again
            return part, persistently(lambda: self._send(part, data), sleep, but_not=(UploadGoneError,))

        for part, sent in in_order(send, missing):
            self.held[part.number] = sent
            on_bytes(part.size)

    def copy(self, parts: Parts, source: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take every part from another key of the bucket; S3 says what it took, where it knows sha256."""

        def copy(part: Part) -> tuple[Part, CompletedPartTypeDef]:
            return part, persistently(lambda: self._copy(part, source), sleep, but_not=(UploadGoneError,))

        for part, copied in in_order(copy, parts):
            self.held[part.number] = copied

    def complete(self, parts: Parts) -> None:
        """Make the object, if the key is still free.

        Raises ``AlreadyExistsError`` when it is not, ``MetMidFlightError`` when another write of the key
        was under way and ``UploadGoneError`` when the upload is no more.
        """
        with self.asking():
            self.s3.complete_multipart_upload(
                Bucket=self.bucket,
                Key=self.key,
                UploadId=self.id,
                MultipartUpload={"Parts": [self.held[part.number] for part in parts]},
                MpuObjectSize=parts.size,
                IfNoneMatch="*",
            )

    def end(self) -> None:
        """Give the upload up, so that nobody pays for its parts.

        Nothing depends on it: if it fails, the bucket's lifecycle rule or the collector does it.
        """
        with suppress(ModelStoreError), self.asking():
            self.s3.abort_multipart_upload(Bucket=self.bucket, Key=self.key, UploadId=self.id)

    def _copy(self, part: Part, source: str) -> CompletedPartTypeDef:
        with self.asking():
            answer = self.s3.upload_part_copy(
                Bucket=self.bucket,
                Key=self.key,
                UploadId=self.id,
                PartNumber=part.number,
                CopySource={"Bucket": self.bucket, "Key": source},
                CopySourceRange=f"bytes={part.start}-{part.start + part.size - 1}",
            )
        result = answer["CopyPartResult"]
        copied: CompletedPartTypeDef = {"PartNumber": part.number, "ETag": result["ETag"]}
        checksum = result.get("ChecksumSHA256")
        if checksum is None:
            return copied
        found = Digest(b64decode(checksum).hex())
        part.digest.must_equal(found, what=f"part {part.number} of `{source}`")
        return {**copied, "ChecksumSHA256": checksum}

    def _send(self, part: Part, data: bytearray) -> CompletedPartTypeDef:
        checksum = checksum_of(part.digest)
        with self.asking():
            answer = self.s3.upload_part(
                Bucket=self.bucket,
                Key=self.key,
                UploadId=self.id,
                PartNumber=part.number,
                Body=cast("bytes", data),  # botocore takes a bytearray, its stubs do not know
                # The value alone: with the algorithm beside it, a server may compute it twice.
                ChecksumSHA256=checksum,
            )
        return {"PartNumber": part.number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}


def begin(s3: S3Client, bucket: str, key: str, asking: Callable[[], AbstractContextManager[None]]) -> Upload:
    """Begin an upload of which S3 knows that its parts come with a sha256 each."""
    with asking():
        answer = s3.create_multipart_upload(
            Bucket=bucket, Key=key, ChecksumAlgorithm="SHA256", ChecksumType="COMPOSITE"
        )
    return Upload(s3, bucket, key, answer["UploadId"], asking)


def unfinished(
    s3: S3Client, bucket: str, key: str, asking: Callable[[], AbstractContextManager[None]], parts: Parts
) -> Upload | None:
    """Find an upload of ``key`` that broke off and holds parts of this very file.

    One that holds anything else, or parts without a sha256, is left alone: it is not of this file's
    making. Whoever may write but not list begins anew.
    """
    found: list[Upload] = []
    try:
        with asking():
            listed = s3.list_multipart_uploads(Bucket=bucket, Prefix=key)
        own = [item["UploadId"] for item in listed.get("Uploads", []) if item["Key"] == key]
        for id_ in own[:_CANDIDATES]:
            upload = Upload(s3, bucket, key, id_, asking)
            with suppress(UploadGoneError):
                if _holds_only(upload, parts):
                    found.append(upload)
    except AccessDeniedError:
        return None
    return max(found, key=lambda upload: len(upload.held), default=None)


def checksum_of(digest: Digest) -> str:
    """A sha256 as S3 writes it."""
    return b64encode(bytes.fromhex(digest.hex)).decode()


def checksum_of_parts(parts: Parts) -> str:
    """The checksum that S3 gives an object that came in ``parts``: of their checksums, and how many.

    Source: Amazon S3 user guide, "Checking object integrity", composite checksums.
    """
    joined = b"".join(bytes.fromhex(digest.hex) for digest in parts.digests)
    return f"{b64encode(sha256(joined).digest()).decode()}-{len(parts)}"


def _holds_only(upload: Upload, parts: Parts) -> bool:
    """Read what the upload holds; say whether it is something, and every part of it a part of the file."""
    expected = {part.number: (part.size, checksum_of(part.digest)) for part in parts}
    with upload.asking():
        pages = iter(
            upload.s3.get_paginator("list_parts").paginate(
                Bucket=upload.bucket, Key=upload.key, UploadId=upload.id
            )
        )
    while True:
        with upload.asking():
            page = next(pages, None)
        if page is None:
            return bool(upload.held)
        for item in page.get("Parts", []):
            checksum = item.get("ChecksumSHA256", "")
            if expected.get(item["PartNumber"]) != (item["Size"], checksum):
                return False
            upload.held[item["PartNumber"]] = {
                "PartNumber": item["PartNumber"],
                "ETag": item["ETag"],
                "ChecksumSHA256": checksum,
            }
