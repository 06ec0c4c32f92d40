"""The laws of ``model_store.signatures.SigningKeys``, held against the fake and against KMS's interface."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from model_store.adapters.kms import KmsKeys
from model_store.adapters.memory_keys import MemoryKeys
from model_store.contract.digest import Digest
from model_store.contract.errors import AccessDeniedError, StoreUnavailableError
from model_store.signatures import SigningKeys

DIGEST = Digest.of(b"a manifest")


@dataclass
class Subject:
    """What is under test, two keys that sign, and a name that is none's."""

    keys: SigningKeys
    ours: str
    theirs: str
    nobody: str


@pytest.fixture(
    params=[
        "memory",
        *(pytest.param(spec, marks=pytest.mark.cloud) for spec in ("ECC_NIST_P256", "RSA_2048")),
    ]
)
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    if request.param == "memory":
        yield Subject(MemoryKeys("ours", "theirs"), "ours", "theirs", "nobody")
        return
    for variable, value in request.getfixturevalue("cloud").environment().items():
        monkeypatch.setenv(variable, value)
    kms = boto3.client("kms")
    ours, theirs = (
        kms.create_key(KeySpec=request.param, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"] for _ in range(2)
    )
    nobody = f"{ours.rpartition('/')[0]}/00000000-0000-0000-0000-000000000000"
    yield Subject(KmsKeys(), ours, theirs, nobody)


def test_what_a_key_signed_it_verifies(subject: Subject) -> None:
    algorithm, made = subject.keys.sign(subject.ours, DIGEST)
    assert subject.keys.verify(subject.ours, DIGEST, algorithm, made)


def test_another_digest_does_not_verify(subject: Subject) -> None:
    algorithm, made = subject.keys.sign(subject.ours, DIGEST)
    assert not subject.keys.verify(subject.ours, Digest.of(b"another"), algorithm, made)


def test_another_key_s_signature_does_not_verify(subject: Subject) -> None:
    algorithm, made = subject.keys.sign(subject.theirs, DIGEST)
    assert not subject.keys.verify(subject.ours, DIGEST, algorithm, made)


def test_changed_bytes_do_not_verify(subject: Subject) -> None:
    algorithm, made = subject.keys.sign(subject.ours, DIGEST)
    changed = made[:-1] + bytes([made[-1] ^ 1])
    assert not subject.keys.verify(subject.ours, DIGEST, algorithm, changed)


def test_an_algorithm_that_is_none_does_not_verify(subject: Subject) -> None:
    _, made = subject.keys.sign(subject.ours, DIGEST)
    assert not subject.keys.verify(subject.ours, DIGEST, "NONE", made)


def test_a_key_that_does_not_exist_is_an_error_of_ours(subject: Subject) -> None:
    with pytest.raises(AccessDeniedError, match=subject.nobody):
        subject.keys.sign(subject.nobody, DIGEST)
    algorithm, made = subject.keys.sign(subject.ours, DIGEST)
    with pytest.raises(AccessDeniedError, match=subject.nobody):
        subject.keys.verify(subject.nobody, DIGEST, algorithm, made)


def stubbed() -> tuple[Any, Stubber]:
    client: Any = boto3.client(
        "kms", region_name="eu-central-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    return client, Stubber(client)


def test_a_key_that_encrypts_signs_nothing() -> None:
    client, stub = stubbed()
    stub.add_response("describe_key", {"KeyMetadata": {"KeyId": "k", "KeyUsage": "ENCRYPT_DECRYPT"}})
    with stub, pytest.raises(AccessDeniedError, match="cannot sign a sha256"):
        KmsKeys(client).sign("k", DIGEST)


def test_what_may_work_later_is_said_to_be_so() -> None:
    client, stub = stubbed()
    stub.add_client_error("verify", "ThrottlingException", "Rate exceeded")
    with stub, pytest.raises(StoreUnavailableError, match="ThrottlingException"):
        KmsKeys(client).verify("k", DIGEST, "ECDSA_SHA_256", b"made")
