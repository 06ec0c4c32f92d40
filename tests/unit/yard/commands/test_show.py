"""``yard show`` and ``yard diff``."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model_store.contract.environment import BUCKET
from model_store.contract.errors import InvalidNameError, NotFoundError
from model_store.contract.keys import manifest_key
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.pins import pin
from releases.bases import record_base
from releases.records import Base

Put = Callable[[str, int, bytes], Manifest]
Yard = Callable[..., Any]


def test_a_version_is_shown_with_all_that_is_known_of_it(store: Any, put: Put, yard: Yard) -> None:
    manifest = put("digits", 1, b"model")
    pin(store, ByVersion("digits", 1), reason="audit", by="bob", at="then", now=lambda: 0.0)
    shown = yard("show", "digits:1").stdout
    for word in (
        *("digits:1", "onnx", manifest.digest.short, "ana", "2026-05-17T10:30:05Z", "note 1"),
        *("FP32", "accuracy", "0.97", "model.onnx", "1 inputs, 1 outputs", "by bob at then: audit"),
    ):
        assert word in shown


def test_a_version_is_shown_with_its_way_to_lambda(store: Any, put: Put, yard: Yard) -> None:
    """Before a deploy, on one that it fits, and on one that it does not."""
    put("digits", 1, b"model")
    large = replace(put("digits", 2, b"large"), version=3)
    large = replace(large, files=(replace(large.files[0], size=200_000_000),))
    store.put_once(manifest_key("digits", 3), large.to_json())
    assert "model: layer" in yard("show", "digits:1").stdout
    assert "read from S3 at start" in yard("show", "digits:3").stdout
    base = Base("f", "p", "c", (), {}, 1024, 10, "python3.13", "h", "r", "x86_64", "None")
    record_base(store, "digits", base)
    assert "model: layer" in yard("show", "digits:1").stdout
    assert "not as it is: `digits:3` has 200,000,000 bytes" in yard("show", "digits:3").stdout
    record_base(store, "digits", replace(base, environment={BUCKET: "store"}))
    assert "model: S3 at start, 512 MB" in yard("show", "digits:3").stdout


def test_as_json_it_is_the_manifest_itself(
    store: Any, put: Put, yard: Yard, document: Callable[[Any], Any]
) -> None:
    import json

    manifest = put("digits", 1, b"model")
    assert document(yard("show", "digits:1", "--json")) == json.loads(manifest.to_json())


def test_a_version_without_a_file_for_phones_says_so_and_writes_nothing(
    store: Any, put: Put, yard: Yard, tmp_path: Path
) -> None:
    put("digits", 1, b"model")
    refused = yard("show", "digits:1", "--litert", str(tmp_path / "digits.tflite"))
    assert isinstance(refused.exception, NotFoundError)
    assert not (tmp_path / "digits.tflite").exists()


def test_what_differs_is_named_with_both_sides(
    store: Any, put: Put, yard: Yard, document: Callable[[Any], Any]
) -> None:
    put("digits", 1, b"model")
    put("digits", 2, b"larger model")
    found = document(yard("diff", "digits:1", "digits:2", "--json"))
    assert (found["before"], found["after"]) == ("digits:1", "digits:2")
    sizes = [change for change in found["changes"] if change["name"] == "bytes"]
    assert sizes == [{"part": "artifact", "name": "bytes", "before": "5", "after": "12", "remark": "+140.0%"}]
    assert "note 1" in yard("diff", "digits:1", "digits:2").stdout


def test_the_same_artifact_has_no_differences(store: Any, put: Put, yard: Yard) -> None:
    put("digits", 1, b"model")
    done = yard("diff", "digits:1", "digits:1")
    assert done.exit_code == 0
    assert "the same artifact" in done.stderr


def test_an_alias_or_a_version_that_is_not_there_is_refused(store: Any, put: Put, yard: Yard) -> None:
    put("digits", 1, b"model")
    assert isinstance(yard("show", "digits@live").exception, InvalidNameError)
    assert isinstance(yard("diff", "digits:1", "digits:7").exception, NotFoundError)
    with pytest.raises(NotFoundError, match="`digits:7` does not exist"):
        raise yard("show", "digits:7").exception
