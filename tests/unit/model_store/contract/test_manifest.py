"""``model_store.contract.manifest``: what a version is, in canonical bytes."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, InvalidArtifactError
from model_store.contract.manifest import (
    NO_GOLDEN,
    SCHEMA,
    ArtifactFile,
    Golden,
    Manifest,
    artifact_digest,
)
from model_store.contract.names import ByVersion
from model_store.contract.parts import Parts
from model_store.contract.tensors import TensorData, TensorSpec

MANIFEST = Manifest(
    model="digits",
    version=7,
    files=(
        ArtifactFile("model.onnx", Digest.of(b"graph"), 5),
        ArtifactFile("labels.txt", Digest.of(b"zero"), 4),
    ),
    entry="model.onnx",
    inputs=(TensorSpec("x", "FP32", ("batch", 4)),),
    outputs=(TensorSpec("y", "FP32", ("batch",)), TensorSpec("label", "BYTES", ("batch",))),
    golden=Golden(
        (TensorData("x", "FP32", (1, 4), (0.1, 0.2, 0.3, 0.4)),),
        (TensorData("y", "FP32", (1,), (1.5,)), TensorData("label", "BYTES", (1,), ("zwölf",))),
    ),
    created_at="2026-05-17T10:30:05Z",
    created_by="ana",
    metrics={"accuracy": 0.97},
    lineage={"git": "abc"},
    note="first",
)


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    body = json.loads(MANIFEST.to_json())
    change(body)
    return json.dumps(body).encode()


def test_what_is_written_is_what_is_read() -> None:
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST
    assert MANIFEST.ref == ByVersion("digits", 7)
    assert MANIFEST.size == 9


def test_equal_manifests_are_equal_files() -> None:
    """Law 1: the same manifest is the same bytes, whatever the order it was put together in."""
    one, two = (
        replace(MANIFEST, metrics={"a": 1.0, "b": 2.0}),
        replace(MANIFEST, metrics={"b": 2.0, "a": 1.0}),
    )
    assert one.to_json() == two.to_json()
    assert Manifest.from_json(one.to_json()).to_json() == one.to_json()


def test_the_digest_of_an_artifact_does_not_depend_on_the_order_of_its_files() -> None:
    assert artifact_digest(MANIFEST.files) == artifact_digest(MANIFEST.files[::-1])


def test_the_digest_of_an_artifact_covers_names_and_bytes() -> None:
    """Law 2: other bytes, another name or another file are another digest."""
    one = ArtifactFile("a", Digest.of(b"1"), 1)
    digests = {
        artifact_digest(files)
        for files in (
            (one,),
            (ArtifactFile("a", Digest.of(b"2"), 1),),
            (ArtifactFile("b", Digest.of(b"1"), 1),),
            (one, ArtifactFile("b", Digest.of(b"1"), 1)),
        )
    }
    assert len(digests) == 4


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_anybody_can_check_the_digest_with_public_tools(tmp_path: Path) -> None:
    """Law 2: the digest of an artifact is a listing that ``sha256sum`` makes."""
    names = ["model.onnx", "b/weights.bin", "a.txt", "b-1.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    command = "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    files = tuple(ArtifactFile(name, Digest.of(name.encode()), len(name)) for name in names)
    assert done.stdout.split()[0] == artifact_digest(files).hex


@pytest.mark.parametrize("path", ["", ".", "/a", "../a", "a/../b", "a//b", "./a", "a/", "a\nb", "a\\b"])
def test_a_path_that_leaves_the_artifact_cannot_be_in_a_manifest(path: str) -> None:
    """Law 12: what a manifest names stays in the artifact's own folder."""
    with pytest.raises(InvalidArtifactError):
        ArtifactFile(path, Digest.of(b""), 0)


def test_a_manifest_with_a_path_outside_cannot_be_read_back() -> None:
    """Law 12: also when somebody else wrote it."""

    def escape(body: dict[str, Any]) -> None:
        body["files"][0]["path"] = "../../etc/passwd"

    with pytest.raises((IntegrityError, InvalidArtifactError)):
        Manifest.from_json(edited(escape))


@pytest.mark.parametrize("key", sorted(json.loads(MANIFEST.to_json())))
def test_a_manifest_without_one_of_its_parts_is_refused(key: str) -> None:
    with pytest.raises(IntegrityError):
        Manifest.from_json(edited(lambda body: body.pop(key)))


@pytest.mark.parametrize("data", [b"", b"nothing", b"[]", b"{}", b"null", b"\xff", b'{"schema": "one"}'])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        Manifest.from_json(data)


def test_a_manifest_that_contradicts_itself_is_refused() -> None:
    """Law 2: the files are those the digest names."""

    def swap(body: dict[str, Any]) -> None:
        body["files"][0]["sha256"] = Digest.of(b"other").hex

    with pytest.raises(IntegrityError, match="not its digest's"):
        Manifest.from_json(edited(swap))


def test_a_manifest_that_serves_a_file_it_does_not_have_is_refused() -> None:
    """Law 12: what is loaded is one of the artifact's own files."""
    with pytest.raises(IntegrityError, match="serves a file"):
        Manifest.from_json(edited(lambda body: body.update(entry="../model.onnx")))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (key, value)
        for key in ("metrics", "lineage", "golden", "files", "inputs")
        for value in ("text", 3, [3], None)
        if (key, value) != ("golden", None)
    ],
)
def test_a_part_of_another_form_is_refused(key: str, value: object) -> None:
    with pytest.raises(IntegrityError):
        Manifest.from_json(edited(lambda body: body.update({key: value})))


def test_a_manifest_of_a_later_switchyard_says_so() -> None:
    with pytest.raises(IntegrityError, match=f"schema {SCHEMA + 1}") as refusal:
        Manifest.from_json(edited(lambda body: body.update(schema=SCHEMA + 1)))
    assert "Update Switchyard" in (refusal.value.hint or "")


LARGE = replace(
    MANIFEST,
    files=(
        replace(MANIFEST.files[0], parts=Parts(3, 5, (Digest.of(b"gra"), Digest.of(b"ph")))),
        MANIFEST.files[1],
    ),
)


def test_a_large_file_keeps_the_digests_of_its_parts() -> None:
    """Law 2: ranges of a large file can be verified by themselves."""
    body = json.loads(LARGE.to_json())["files"]
    assert body[0]["parts"] == {"bytes": 3, "sha256": [Digest.of(b"gra").hex, Digest.of(b"ph").hex]}
    assert "parts" not in body[1]
    assert Manifest.from_json(LARGE.to_json()) == LARGE


def test_parts_do_not_change_what_an_artifact_is_called() -> None:
    assert LARGE.digest == MANIFEST.digest


def test_parts_that_are_not_the_file_cannot_be_read_back() -> None:
    """Law 2: a manifest that contradicts itself is refused."""
    body = json.loads(LARGE.to_json())
    body["files"][0]["parts"]["sha256"].pop()
    with pytest.raises(IntegrityError, match="are not a file of 5 bytes"):
        Manifest.from_json(json.dumps(body).encode())


def test_a_manifest_of_the_first_schema_is_read_and_written_back_as_it_was() -> None:
    """Law 1: what was published stays what it is, whatever Switchyard reads it."""

    def before_kinds(body: dict[str, Any]) -> None:
        body["schema"] = 1
        del body["kind"]

    old = edited(before_kinds)
    read = Manifest.from_json(old)
    assert read.schema == 1
    assert json.loads(read.to_json()) == json.loads(old)


def test_a_manifest_cannot_hold_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(MANIFEST, metrics={"accuracy": float("nan")}).to_json()


def test_a_manifest_of_the_first_schema_is_an_onnx_one() -> None:
    """Law 1: a version stays readable for ever, also with a Switchyard that writes newer manifests."""

    def as_before(body: dict[str, Any]) -> None:
        del body["kind"]
        body["schema"] = 1

    old = Manifest.from_json(edited(as_before))
    assert (old.schema, old.kind) == (1, "onnx")
    assert b'"kind"' not in old.to_json()


def test_an_absent_golden_sample_is_said_to_be_absent() -> None:
    bare = replace(MANIFEST, golden=NO_GOLDEN, kind="safetensors")
    assert json.loads(bare.to_json())["golden"] is None
    assert not Manifest.from_json(bare.to_json()).golden.is_there


def test_a_kind_that_nobody_knows_is_refused() -> None:
    with pytest.raises(IntegrityError, match="unknown kind, `pickle`"):
        Manifest.from_json(edited(lambda body: body.update(kind="pickle")))
