"""``functions.inference.served``: serve exactly what the environment names, or nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from functions.inference.served import Unreleased, load_served
from model_store.contract import environment
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, InvalidNameError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.functions.conftest import Layer


def test_what_the_environment_names_is_served(linear_layer: Layer) -> None:
    served = linear_layer.load()
    assert str(served.manifest.ref) == "digits:2"
    assert list(served.signature.inputs) == ["x"]
    assert list(served.signature.outputs) == ["scores", "label"]


def test_the_digest_may_be_written_with_or_without_its_algorithm(linear_layer: Layer) -> None:
    linear_layer.environ[environment.DIGEST] = linear_layer.manifest.digest.hex
    assert linear_layer.load().manifest.digest == linear_layer.manifest.digest


def test_the_layer_is_found_on_the_import_path(linear_layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(linear_layer.package.parent)])
    assert load_served(linear_layer.environ).model == "digits"


def test_two_layers_on_the_import_path_are_one_too_many(
    linear_layer: Layer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 2: a function that is unsure what it holds does not serve."""
    second = tmp_path / "other" / environment.MODEL_PACKAGE
    second.mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [*sys.path, str(second.parent), str(linear_layer.package.parent)])
    with pytest.raises(IntegrityError, match="2 model layers are attached"):
        load_served(linear_layer.environ)


def test_no_layer_on_the_import_path_is_an_error(linear_layer: Layer) -> None:
    with pytest.raises(IntegrityError, match="no folder `switchyard_model` stands on the import path"):
        load_served(linear_layer.environ)


def test_a_function_without_a_version_is_unreleased() -> None:
    assert load_served({environment.MODEL: "digits"}) == Unreleased("digits")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (environment.MODEL, "fraud", "`SWITCHYARD_MODEL` is `fraud`, and the model layer holds `digits`"),
        (environment.VERSION, "3", "`SWITCHYARD_VERSION` is `3`, and the model layer holds `2`"),
        (
            environment.DIGEST,
            f"sha256:{Digest.of(b'other').hex}",
            "the artifact of digits:2 should have sha256",
        ),
        (environment.DIGEST, "", "the environment variable `SWITCHYARD_DIGEST` is not set"),
        (environment.MODEL, "", "the environment variable `SWITCHYARD_MODEL` is not set"),
    ],
)
def test_an_environment_that_names_something_else_refuses_to_serve(
    linear_layer: Layer, variable: str, value: str, words: str
) -> None:
    """Law 2: environment, manifest and files tell the same model, version and digest."""
    linear_layer.environ[variable] = value
    with pytest.raises(IntegrityError, match=words):
        linear_layer.load()


def test_a_digest_without_a_version_refuses_to_serve(linear_layer: Layer) -> None:
    """Law 2: half a release is none."""
    del linear_layer.environ[environment.VERSION]
    with pytest.raises(IntegrityError, match="`SWITCHYARD_DIGEST` is set and `SWITCHYARD_VERSION` is not"):
        load_served(linear_layer.environ, package=str(linear_layer.package))


def test_a_digest_that_is_none_refuses_to_serve(linear_layer: Layer) -> None:
    linear_layer.environ[environment.DIGEST] = "abc"
    with pytest.raises(InvalidNameError, match="`abc` is not a sha256"):
        linear_layer.load()


def test_a_manifest_that_was_edited_refuses_to_serve(linear_layer: Layer) -> None:
    """Law 2: a manifest whose files are not its digest's is not believed."""
    path = linear_layer.package / environment.MANIFEST_FILE
    digest = linear_layer.manifest.digest.hex.encode()
    path.write_bytes(path.read_bytes().replace(digest, Digest.of(b"other").hex.encode()))
    with pytest.raises(IntegrityError, match="names files that are not its digest's"):
        linear_layer.load()


@pytest.mark.parametrize("content", [b"{", b"[]", None])
def test_a_manifest_that_cannot_be_read_refuses_to_serve(linear_layer: Layer, content: bytes | None) -> None:
    path = linear_layer.package / environment.MANIFEST_FILE
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(IntegrityError, match="manifest"):
        linear_layer.load()
