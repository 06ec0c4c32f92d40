"""The AWS adapters. botocore comes with the Lambda runtime and is imported when it is first needed.

Most environments never do: importing it and making one client takes longer than a whole cold start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from functions.inference.ports import Address, Seen, Stored
from functions.protocol.errors import CloudUnavailableError, TooLargeError, UnknownUploadError
from functions.protocol.headers import JSON_LENGTH

CONNECT_SECONDS = 2
READ_SECONDS = 20
REQUEST_ID = "switchyard-request"
"""Message attribute: which message an answer answers."""

# S3 says "denied" for an object that is not there to a role that may not list the bucket.
_NOT_THERE = frozenset({"NoSuchKey", "404", "AccessDenied", "403"})


class S3Objects:
    """Objects in S3."""

    def read(self, bucket: str, key: str, *, limit: int) -> Stored:
        with _translated(key):
            found = self._client.get_object(Bucket=bucket, Key=key)
            size = found["ContentLength"]
            if size > limit:
                found["Body"].close()
                raise TooLargeError(f"the upload has {size} bytes, and at most {limit} are read")
            # read() stays inside: a connection can also die halfway through the body.
            body = found["Body"].read()
        length = found["Metadata"].get(JSON_LENGTH, "")
        return Stored(
            body,
            int(length) if length.isdecimal() else None,
            (datetime.now(UTC) - found["LastModified"]).total_seconds(),
        )

    def look(self, bucket: str, key: str, *, first: int) -> Seen:
        with _translated(key):
            found = self._client.get_object(Bucket=bucket, Key=key)
            head = found["Body"].read(first) if first else b""
            found["Body"].close()
        return Seen(found["ContentLength"], (datetime.now(UTC) - found["LastModified"]).total_seconds(), head)

    def write(self, bucket: str, key: str, stored: Stored) -> None:
        binary = stored.json_length is not None
        with _translated(key):
            self._client.put_object(
                Bucket=bucket,
                Key=key,
                Body=stored.body,
                ContentType="application/octet-stream" if binary else "application/json",
                Metadata={JSON_LENGTH: str(stored.json_length)} if binary else {},
            )

    def upload_address(self, bucket: str, key: str, *, size: int, seconds: int) -> Address:
        # The length is among the signed headers: S3 refuses an upload of any other size.
        parameters = {"Bucket": bucket, "Key": key, "ContentLength": size}
        with _translated(key):
            url = self._client.generate_presigned_url("put_object", Params=parameters, ExpiresIn=seconds)
        return Address(url, {"content-length": str(size)})

    def download_address(self, bucket: str, key: str, *, seconds: int) -> Address:
        parameters = {"Bucket": bucket, "Key": key}
        with _translated(key):
            return Address(
                self._client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds), {}
            )

    @cached_property
    def _client(self) -> Any:
        return client("s3")


class SqsQueue:
    """Messages in SQS."""

    def send(self, queue_url: str, body: str, *, answers: str) -> None:
        attribute = {"DataType": "String", "StringValue": answers}
        with _translated("the queue of answers"):
            self._client.send_message(
                QueueUrl=queue_url, MessageBody=body, MessageAttributes={REQUEST_ID: attribute}
            )

    @cached_property
    def _client(self) -> Any:
        return client("sqs")


class LambdaShadow:
    """The shadow of this function, through Lambda's own queue of asynchronous invocations."""

    def __init__(self, function: str, alias: str) -> None:
        # Made at once: where requests are mirrored, a start may take longer and a request may not.
        self._client: Any = client("lambda")
        self._function = function
        self._alias = alias

    def tell(self, event: bytes) -> None:
        with _translated("the shadow"):
            self._client.invoke(
                FunctionName=self._function, Qualifier=self._alias, InvocationType="Event", Payload=event
            )


def client(service: str) -> Any:
    """A client of botocore's own: boto3 on top of it would add its import and nothing else."""
    import botocore.session
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": 3, "mode": "standard"},
        signature_version="s3v4" if service == "s3" else None,
        # A checksum would have to be signed into an upload's address before the upload is known.
        request_checksum_calculation="when_required",
    )
    return botocore.session.get_session().create_client(service, config=config)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in _NOT_THERE and error.operation_name == "GetObject":
            raise UnknownUploadError("there is no such upload, or it is gone") from error
        raise CloudUnavailableError(f"AWS answered {code} for {what}") from error
    except (BotoCoreError, HTTPClientError, OSError) as error:
        raise CloudUnavailableError(f"AWS did not answer for {what}: {type(error).__name__}") from error
