"""``docs/schemas``: the published form of a manifest is the one that is written."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.digest import Digest
from model_store.contract.kinds import KINDS
from model_store.contract.manifest import SCHEMA, WITHOUT_BASELINE, ArtifactFile, Manifest
from model_store.contract.paths import check_artifact_path
from model_store.contract.tensors import DATATYPES
from model_store.publish import publish

FOLDER = Path(__file__).parents[4] / "docs" / "schemas"


@pytest.fixture(scope="module", params=[WITHOUT_BASELINE, SCHEMA])
def schema(request: pytest.FixtureRequest) -> int:
    """Every schema that is still written."""
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def published(schema: int) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((FOLDER / f"manifest-{schema}.json").read_text())
    return body


@pytest.fixture(scope="module")
def check(published: dict[str, Any]) -> Callable[[Any], list[str]]:
    """Say what the published schema has against a document."""
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(published)
    validator = jsonschema.Draft202012Validator(published)
    return lambda document: [error.message for error in validator.iter_errors(document)]


@pytest.fixture
def manifest(
    schema: int, store: MemoryStore, save: Callable[..., Path], clock: Callable[[], datetime], tmp_path: Path
) -> Manifest:
    rows = tmp_path / "rows.npz"
    np.savez(rows, x=np.arange(400, dtype=np.float32).reshape(100, 4))
    done = publish(
        store,
        "digits",
        save(),
        created_by="ana",
        clock=clock,
        metrics={"f1": 0.9},
        lineage={"parent": "a:1"},
        baseline=rows if schema == SCHEMA else None,
    )
    return done.manifest


def test_the_schema_and_the_code_list_the_same_words(published: dict[str, Any], schema: int) -> None:
    properties = published["properties"]
    assert properties["schema"]["const"] == schema
    assert tuple(properties["kind"]["enum"]) == KINDS
    assert set(published["$defs"]["datatype"]["enum"]) == DATATYPES


def test_every_field_that_is_written_is_described_and_required(
    published: dict[str, Any], manifest: Manifest
) -> None:
    written = set(json.loads(manifest.to_json()))
    assert written == set(published["properties"]) == set(published["required"])


def test_what_publish_writes_is_what_the_schema_says(
    check: Callable[[Any], list[str]], manifest: Manifest
) -> None:
    assert check(json.loads(manifest.to_json())) == []


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "pickle"},
        {"version": 0},
        {"model": "Digits"},
        {"sha256": "abc"},
        {"metrics": {"f1": "high"}},
        {"lineage": {"data": "md5:abc"}},
        {"entry": "../x"},
        {"golden": {}},
        {"surprise": 1},
    ],
)
def test_what_no_manifest_says_is_refused(
    check: Callable[[Any], list[str]], manifest: Manifest, change: dict[str, Any]
) -> None:
    assert check({**json.loads(manifest.to_json()), **change})


@pytest.mark.parametrize("path", ["a", "a/b.c", "..a", "a..b/c", "größe.txt", "a b"])
@pytest.mark.parametrize("spoiled", ["{}", "/{}", "../{}", "a/../{}", "./{}", "{}/", "a//{}", "{}\n"])
def test_paths_are_those_that_the_code_takes(
    published: dict[str, Any], check: Callable[[Any], list[str]], path: str, spoiled: str
) -> None:
    text = spoiled.format(path)
    try:
        check_artifact_path(text)
        fine = True
    except ValueError:
        fine = False
    body = {**published, "$ref": "#/$defs/path"}
    for key in ("type", "properties", "required", "additionalProperties"):
        del body[key]
    import jsonschema  # type: ignore[import-untyped]

    assert jsonschema.Draft202012Validator(body).is_valid(text) is fine


def test_files_may_have_parts(check: Callable[[Any], list[str]], manifest: Manifest) -> None:
    body = json.loads(manifest.to_json())
    plain = ArtifactFile("model.onnx", Digest.of(b""), 5).as_json()
    body["files"] = [{**plain, "parts": {"bytes": 4, "sha256": ["ab" * 32, "cd" * 32]}}]
    assert check(body) == []
    body["files"] = [{**plain, "parts": {"bytes": 4, "sha256": []}}]
    assert check(body)
