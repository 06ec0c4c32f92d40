"""S3 as a store. The only module of this room that imports boto3, besides the one for KMS.

Every error of botocore leaves as one of ours: the two tables below name each exception class and the
answers of S3 that mean something to a person. Classes are named, not imported: the botocore that a
Lambda runtime brings may be older than the one this was written with.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, UndefinedModelAttributeError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from model_store.adapters.s3_upload import (
    MetMidFlightError,
    UploadGoneError,
    begin,
    checksum_of,
    checksum_of_parts,
    unfinished,
)
from model_store.contract.digest import CHUNK_BYTES, Digest
from model_store.contract.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    IntegrityError,
    InvalidArtifactError,
    InvalidNameError,
    ModelStoreError,
    NotFoundError,
    StoreUnavailableError,
)
from model_store.contract.parts import Part, Parts
from model_store.place import local_files, place
from model_store.ports import Entry, OnBytes, check_key, unheard
from model_store.transfer import counted, exactly, opened, place_parts

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MAX_PUT_BYTES = 5 * 1024**3
"""Largest single upload, without parts. Source: Amazon S3 user guide, "Uploading objects", 5 GB."""

ATTEMPTS = 4
"""How often a call is made before it has failed."""

# S3 answers 409 when two writers met mid-flight and neither is known to have won: ask again.
_CONFLICT_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8)

_Kind = type[ModelStoreError]

_DEPLOY = "Deploy the stage first: `cdk deploy --all -c stage=STAGE`."
_SIGN_IN = "Sign in to AWS, or set `AWS_PROFILE` to a profile that works, and try again."
_REGION = "Set `AWS_REGION` to the region of the stage."
_NETWORK = (
    "Check the network, the region and `AWS_ENDPOINT_URL`; with the local cloud run `yard local status`."
)
_ASK = "Ask for read and write access to the stage's bucket and its key, or use another profile."
_AGAIN = "Try again in a moment; repeating the call is safe."
_INSTALL = "Check that boto3 and botocore belong together: `pip check`."
_SETTINGS = "Correct the AWS settings in the environment or in `~/.aws/config`."

_ANSWERS: dict[str, tuple[_Kind, str | None]] = {
    "404": (NotFoundError, None),
    "NoSuchKey": (NotFoundError, None),
    "NotFound": (NotFoundError, None),
    "NoSuchBucket": (NotFoundError, _DEPLOY),
    "PreconditionFailed": (AlreadyExistsError, None),
    "412": (AlreadyExistsError, None),
    "403": (AccessDeniedError, _ASK),
    "AccessDenied": (AccessDeniedError, _ASK),
    "AccessDeniedException": (AccessDeniedError, _ASK),
    "AllAccessDisabled": (AccessDeniedError, _ASK),
    "KMS.DisabledException": (AccessDeniedError, "Enable the KMS key of the stage's bucket again."),
    "KMS.KMSInvalidStateException": (AccessDeniedError, "Enable the KMS key of the stage's bucket again."),
    "KMS.NotFoundException": (AccessDeniedError, "Restore the KMS key of the stage's bucket."),
    "AccountProblem": (AccessDeniedError, "Ask AWS Support about the account."),
    "InvalidAccessKeyId": (AccessDeniedError, _SIGN_IN),
    "SignatureDoesNotMatch": (AccessDeniedError, _SIGN_IN),
    "ExpiredToken": (AccessDeniedError, _SIGN_IN),
    "InvalidToken": (AccessDeniedError, _SIGN_IN),
    "TokenRefreshRequired": (AccessDeniedError, _SIGN_IN),
    "RequestTimeTooSkewed": (AccessDeniedError, "Set this machine's clock."),
    "BadDigest": (IntegrityError, "Publish again from files that nobody writes to."),
    "XAmzContentSHA256Mismatch": (IntegrityError, "Publish again from files that nobody writes to."),
    "XAmzContentChecksumMismatch": (IntegrityError, "Publish again from files that nobody writes to."),
    "InvalidBucketName": (InvalidNameError, "Check the name of the bucket."),
    "KeyTooLongError": (InvalidNameError, None),
    "EntityTooLarge": (InvalidArtifactError, "Split the model's external data into smaller files."),
    "EntityTooSmall": (InvalidArtifactError, "Cut files into parts of 5 MiB or more."),
    "InvalidRange": (IntegrityError, "Do not use these bytes: run `yard verify`, and publish again."),
    "416": (IntegrityError, "Do not use these bytes: run `yard verify`, and publish again."),
    "InvalidPart": (StoreUnavailableError, _AGAIN),
    "InvalidRequest": (StoreUnavailableError, "Update Switchyard and boto3: S3 refuses what they ask."),
    "NoSuchUpload": (StoreUnavailableError, _AGAIN),
    "InvalidPartOrder": (StoreUnavailableError, _AGAIN),
    "PermanentRedirect": (StoreUnavailableError, _REGION),
    "301": (StoreUnavailableError, _REGION),
    "AuthorizationHeaderMalformed": (StoreUnavailableError, _REGION),
    "InvalidObjectState": (StoreUnavailableError, "Restore the object from its archive tier."),
}


def _each(names: str, kind: _Kind, hint: str | None) -> dict[str, tuple[_Kind, str | None]]:
    return dict.fromkeys(names.split(), (kind, hint))


_FAILURES: dict[str, tuple[_Kind, str | None]] = {
    **_each(
        """NoCredentialsError PartialCredentialsError CredentialRetrievalError UnknownCredentialError
        ConfigNotFound ProfileNotFound RefreshWithMFAUnsupportedError MetadataRetrievalError NoAuthTokenError
        SSOError SSOTokenLoadError UnauthorizedSSOTokenError TokenRetrievalError UnknownTokenProviderError
        LoginError LoginAuthorizationCodeError LoginInsufficientPermissions LoginRefreshRequired
        LoginTokenLoadError""",
        StoreUnavailableError,
        _SIGN_IN,
    ),
    **_each(
        """NoRegionError InvalidRegionError UnknownRegionError ServiceNotInRegionError UnknownEndpointError
        UnknownFIPSEndpointError BaseEndpointResolverError EndpointVariantError EndpointProviderError
        EndpointResolutionError UnknownEndpointResolutionBuiltInName""",
        StoreUnavailableError,
        _REGION,
    ),
    **_each(
        """ConnectionError EndpointConnectionError ConnectTimeoutError ConnectionClosedError ReadTimeoutError
        ProxyConnectionError SSLError HTTPClientError ResponseStreamingError ResponseParserError
        InvalidDNSNameError""",
        StoreUnavailableError,
        _NETWORK,
    ),
    **_each(
        """BotoCoreError ClientError EventStreamError IncompleteReadError CapacityNotAvailableError
        PaginationError UnseekableStreamError AwsChunkedWrapperError WaiterError EndpointDiscoveryException
        EndpointDiscoveryRefreshFailed EndpointDiscoveryRequired""",
        StoreUnavailableError,
        _AGAIN,
    ),
    **_each("FlexibleChecksumError ChecksumError", IntegrityError, "Read it again; do not use these bytes."),
    **_each(
        """ParamValidationError ValidationError MissingParametersError RangeError UnknownKeyError
        UnknownParameterError AliasConflictParameterError InvalidHostLabelError UnsupportedS3ArnError
        UnsupportedS3ControlArnError UnsupportedOutpostResourceError""",
        InvalidNameError,
        "Check the name of the bucket and the AWS settings.",
    ),
    **_each(
        """ConfigParseError InvalidConfigError InfiniteLoopConfigError InvalidDefaultsMode
        InvalidEndpointConfigurationError InvalidEndpointDiscoveryConfigurationError InvalidExpressionError
        InvalidIMDSEndpointError InvalidIMDSEndpointModeError InvalidMaxRetryAttemptsError
        InvalidProxiesConfigError InvalidRetryConfigurationError InvalidRetryModeError
        InvalidS3AddressingStyleError InvalidS3UsEast1RegionalEndpointConfigError
        InvalidSTSRegionalEndpointsConfigError InvalidChecksumConfigError UnknownSignatureVersionError
        UnsupportedSignatureVersionError UnsupportedS3AccesspointConfigurationError
        UnsupportedS3ConfigurationError UnsupportedS3ControlConfigurationError WaiterConfigError""",
        StoreUnavailableError,
        _SETTINGS,
    ),
    **_each(
        """ApiVersionNotFoundError DataNotFoundError UnknownServiceError UnknownServiceStyle
        UnknownClientMethodError OperationNotPageableError MissingDependencyException MD5UnavailableError
        UnsupportedServiceProtocolsError UndefinedModelAttributeError MissingServiceIdError
        StubResponseError StubAssertionError UnStubbedResponseError""",
        StoreUnavailableError,
        _INSTALL,
    ),
}


def s3_client(
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    credentials: Credentials | None = None,
    attempts: int = ATTEMPTS,
) -> S3Client:
    """Make a client that gives up in reasonable time; thread-safe, so one is enough.

    With ``credentials`` it speaks as whom they belong to, not as this machine does. Raises
    ``StoreUnavailableError`` when the AWS settings of this machine make no sense.
    """
    elsewhere = endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config = Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": attempts},
        # What is stored carries its sha256 in a header, and the signature covers the header: signing the
        # body as well would only hash every byte once more.
        s3={"payload_signing_enabled": False},
    )
    if elsewhere:
        # A server that is not AWS has no name per bucket.
        config = config.merge(Config(s3={"payload_signing_enabled": False, "addressing_style": "path"}))
    with translated("the settings of this machine"):
        try:
            # A session of its own: boto3's default one keeps the profile that was there first.
            session = boto3.session.Session(
                aws_access_key_id=credentials.access_key if credentials else None,
                aws_secret_access_key=credentials.secret_key if credentials else None,
                aws_session_token=credentials.token if credentials else None,
                region_name=region,
            )
            return session.client("s3", endpoint_url=endpoint_url, config=config)
        except ValueError as error:
            if isinstance(error, BotoCoreError):
                raise
            raise StoreUnavailableError(
                f"S3 cannot be used: {error}",
                hint="Set `AWS_ENDPOINT_URL` to an address such as `http://127.0.0.1:4566`, or unset it.",
            ) from error


@dataclass(frozen=True, slots=True)
class Credentials:
    """Those of a role that was assumed, good for an hour."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)


class S3Store:
    """A bucket as a store. Every write is conditional (``If-None-Match: *``) and carries its sha256.

    A large file is a multipart upload. When a process dies in it, the parts that arrived stay in the
    bucket, invisible, until the same bytes are put again and only the others are sent. The bucket's
    lifecycle rule ends uploads that nobody goes on with.
    """

    def __init__(
        self, bucket: str, *, client: S3Client | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._bucket = bucket
        self._s3 = client or s3_client()
        self._sleep = sleep

    def put_once(self, key: str, data: bytes) -> None:
        digest = Digest.of(data)
        if not self._create(key, data, digest):
            self._must_hold(key, digest)

    def try_put_once(self, key: str, data: bytes) -> bool:
        return self._create(key, data, Digest.of(data))

    def put_file_once(
        self,
        key: str,
        path: Path,
        digest: Digest,
        parts: Parts | None = None,
        on_bytes: OnBytes = unheard,
    ) -> None:
        check_key(key)
        if parts and len(parts) > 1:
            self._put_parts(key, path, digest, parts, on_bytes)
        else:
            on_bytes(self._put_whole(key, path, digest))

    def copy_once(self, source: str, target: str, digest: Digest, parts: Parts | None = None) -> None:
        # A plain copy carries no condition that every S3 honours, and the bucket refuses it. Parts may be
        # copied, and what makes the object is their completion, which is conditional.
        check_key(target)
        if parts is None or len(parts) < 2:
            self.put_once(target, digest.verify(self.get(source)))
            return
        if self._is_there(target, digest, parts):
            return
        upload = begin(self._s3, self._bucket, target, partial(self._asking, source))
        try:
            upload.copy(parts, source, sleep=self._sleep)
            upload.complete(parts)
        except (AlreadyExistsError, MetMidFlightError):
            # Somebody else made it at the same time, from the same bytes or not.
            upload.end()
        except BaseException:
            upload.end()
            raise
        self._must_hold(target, digest, parts)

    def get(self, key: str) -> bytes:
        # read() stays inside: a connection can also die halfway through the body.
        with self._asking(check_key(key)):
            return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def chunks(self, key: str, part: Part | None = None) -> Iterator[bytes]:
        asked = {"Range": f"bytes={part.start}-{part.start + part.size - 1}"} if part else {}
        return exactly(self._chunks(check_key(key), asked), key, part)

    def fetch_file(
        self,
        key: str,
        path: Path,
        digest: Digest,
        parts: Parts | None = None,
        on_bytes: OnBytes = unheard,
    ) -> None:
        if parts and len(parts) > 1:
            ranges = partial(self.chunks, check_key(key))
            place_parts(ranges, parts, path, digest, on_bytes, sleep=self._sleep)
        else:
            place(counted(self.chunks(key), on_bytes), path, digest)

    def exists(self, key: str) -> bool:
        # Not HEAD: its 404 has no body, so a missing bucket would look like a missing key.
        with self._asking(check_key(key)):
            page = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1)
        return any(item["Key"] == key for item in page.get("Contents", []))

    def keys(self, prefix: str, after: str | None = None) -> Iterator[str]:
        return (entry.key for entry in self.entries(prefix, after))

    def entries(self, prefix: str, after: str | None = None) -> Iterator[Entry]:
        asked: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix}
        if after is not None:
            asked["StartAfter"] = after
        with self._asking(prefix):
            pages = iter(self._s3.get_paginator("list_objects_v2").paginate(**asked))
        while True:
            with self._asking(prefix):
                page = next(pages, None)
            if page is None:
                return
            for item in page.get("Contents", []):
                yield Entry(item["Key"], item["Size"], item["LastModified"].astimezone(UTC))

    def _put_whole(self, key: str, path: Path, digest: Digest) -> int:
        with local_files(path):
            size = path.stat().st_size
            if size > MAX_PUT_BYTES:
                raise InvalidArtifactError(
                    f"`{path.name}` is larger than 5 GiB, the most that S3 takes in one piece",
                    hint="Put it in parts: `hash_file` cuts it.",
                )
            # S3 checks the sha256 as well. This finds a changed file before anything is sent, and
            # holds on a server that only pretends to be S3.
            digest.verify_file(path)
            body = path.open("rb")
        with body:
            created = self._create(key, body, digest)
        if not created:
            self._must_hold(key, digest)
        return size

    def _put_parts(self, key: str, path: Path, digest: Digest, parts: Parts, on_bytes: OnBytes) -> None:
        """Go on with an upload that broke off or begin one, until the key holds the file.

        The upload is ended when it can never be completed: the file changed, or the key is taken. It is
        kept when S3 or this process fails, so that the next attempt finds its parts.
        """
        tell = _up_to(parts.size, on_bytes)
        with opened(path, parts) as local:
            for pause in (*_CONFLICT_PAUSES_S, None):
                if self._is_there(key, digest, parts):
                    tell(parts.size)
                    return
                asking = partial(self._asking, key)
                upload = unfinished(self._s3, self._bucket, key, asking, parts) or begin(
                    self._s3, self._bucket, key, asking
                )
                try:
                    upload.send(parts, local.read, tell, sleep=self._sleep)
                    upload.complete(parts)
                    return
                except IntegrityError:
                    upload.end()
                    raise
                except AlreadyExistsError:
                    upload.end()
                    self._must_hold(key, digest, parts)
                    return
                except (MetMidFlightError, UploadGoneError):
                    # After a 409 S3 wants a new upload; one that is gone may have been completed.
                    upload.end()
                    if pause is None:
                        raise
                    self._sleep(pause)

    def _is_there(self, key: str, digest: Digest, parts: Parts) -> bool:
        try:
            self._must_hold(key, digest, parts)
        except NotFoundError:
            return False
        return True

    def _create(self, key: str, body: bytes | BinaryIO, digest: Digest) -> bool:
        """Write ``body`` if the key is free; ``True`` only for the write that made the key."""
        check_key(key)
        writer = uuid4().hex
        for pause in (*_CONFLICT_PAUSES_S, None):
            try:
                self._put(key, body, digest, writer)
            except AlreadyExistsError:
                # botocore repeats a PUT whose answer was lost, and then meets its own write.
                return bool(self._head(key)["Metadata"].get("writer") == writer)
            except MetMidFlightError:
                if pause is None:
                    raise
                self._sleep(pause)
            else:
                return True
        raise AssertionError  # pragma: no cover - the last pause is None

    def _put(self, key: str, body: bytes | BinaryIO, digest: Digest, writer: str) -> None:
        if not isinstance(body, bytes):
            body.seek(0)
        with self._asking(key):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                IfNoneMatch="*",
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=checksum_of(digest),
                Metadata={"writer": writer},
            )

    def _must_hold(self, key: str, digest: Digest, parts: Parts | None = None) -> None:
        checksum = self._head(key).get("ChecksumSHA256")
        if checksum == checksum_of(digest) or (parts and checksum == checksum_of_parts(parts)):
            return
        # Another checksum of parts (`…-3`), or none, says nothing of the whole: the bytes are read.
        if Digest.of_chunks(self._chunks(key, {})) != digest:
            raise AlreadyExistsError(f"`{key}` already holds other bytes")

    def _head(self, key: str) -> dict[str, Any]:
        with self._asking(key):
            return dict(self._s3.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED"))

    def _chunks(self, key: str, asked: dict[str, Any]) -> Iterator[bytes]:
        with self._asking(key):
            body = self._s3.get_object(Bucket=self._bucket, Key=key, **asked)["Body"]
        try:
            while True:
                with self._asking(key):
                    chunk = body.read(CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk
        finally:
            body.close()

    @contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        with translated(key, self._bucket):
            yield


def _up_to(size: int, on_bytes: OnBytes) -> OnBytes:
    """Tell of ``size`` bytes and no more, also when some of them have to be sent again."""
    told = 0

    def tell(count: int) -> None:
        nonlocal told
        more = min(count, size - told)
        if more:
            told += more
            on_bytes(more)

    return tell


@contextmanager
def translated(key: str, bucket: str | None = None) -> Iterator[None]:
    """Say in this project's words what S3, botocore or the connection had to say of ``key``."""
    where = f"`{key}` in bucket `{bucket}`" if bucket else key
    try:
        yield
    except ClientError as error:
        raise _answer_meaning(error, key, bucket) from error
    except (BotoCoreError, ResponseParserError, UndefinedModelAttributeError) as error:
        kind, hint = _failure_meaning(type(error))
        said = " ".join(str(error).split())
        raise kind(f"S3 cannot be used for {where}: {said.rstrip('.')}", hint=hint) from error
    except (HTTPError, OSError) as error:
        # What urllib3 and the socket raise while a body is read, and botocore does not wrap.
        raise StoreUnavailableError(
            f"the connection to S3 broke for {where}: {error or type(error).__name__}", hint=_NETWORK
        ) from error


def _failure_meaning(kind: type[BaseException]) -> tuple[_Kind, str | None]:
    """What a botocore exception class means; an unknown one means what its nearest parent means."""
    named = (_FAILURES[parent.__name__] for parent in kind.__mro__ if parent.__name__ in _FAILURES)
    return next(named)


def _answer_meaning(error: ClientError, key: str, bucket: str | None) -> ModelStoreError:
    code = str(error.response.get("Error", {}).get("Code", "Unknown"))
    if code in ("ConditionalRequestConflict", "409"):
        return MetMidFlightError(f"S3 named no winner between two writers of `{key}`", hint=_AGAIN)
    if code == "NoSuchUpload":
        return UploadGoneError(f"the unfinished upload of `{key}` is no longer there", hint=_AGAIN)
    kind, hint = _ANSWERS.get(code, (StoreUnavailableError, _AGAIN))
    if code == "NoSuchBucket":
        return kind(f"the bucket `{bucket}` does not exist", hint=hint)
    if kind is NotFoundError:
        return kind(f"nothing is stored at `{key}`", hint=hint)
    if kind is AlreadyExistsError:
        return kind(f"`{key}` already holds other bytes", hint=hint)
    if kind is AccessDeniedError:
        return kind(f"S3 refuses `{key}` in bucket `{bucket}`: {code}", hint=hint)
    return kind(f"S3 answered {code} for `{key}` in bucket `{bucket}`", hint=hint)
