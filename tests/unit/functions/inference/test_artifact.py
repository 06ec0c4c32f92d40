"""``functions.inference.artifact``: nothing is loaded before every byte of it is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import functions
from functions.inference.artifact import LayerArtifact, find_artifact
from model_store.contract import environment
from model_store.contract.digest import Digest
from model_store.contract.environment import FILES_FOLDER
from model_store.contract.errors import IntegrityError

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Layer


def verify(layer: Layer) -> Path:
    return Path(LayerArtifact(str(layer.package), layer.manifest).verified())


def test_the_files_that_were_published_are_verified(external_layer: Layer) -> None:
    assert verify(external_layer) == external_layer.package / FILES_FOLDER


@pytest.mark.parametrize("file", ["model.onnx", "weights.bin"])
def test_one_changed_bit_in_any_file_refuses_to_load(external_layer: Layer, file: str) -> None:
    """Law 2: a digest mismatch refuses to serve."""
    path = external_layer.package / FILES_FOLDER / file
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="should have sha256"):
        verify(external_layer)


def test_one_changed_bit_in_a_single_file_refuses_to_load(linear_layer: Layer) -> None:
    """Law 2: a digest mismatch refuses to serve."""
    path = linear_layer.package / FILES_FOLDER / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(IntegrityError, match="should have sha256"):
        verify(linear_layer)


def test_a_missing_file_refuses_to_load(external_layer: Layer) -> None:
    (external_layer.package / FILES_FOLDER / "weights.bin").unlink()
    with pytest.raises(IntegrityError, match=r"lacks `weights\.bin`, which its manifest names"):
        verify(external_layer)


def test_a_file_that_the_manifest_does_not_name_refuses_to_load(linear_layer: Layer) -> None:
    """Law 2: nothing unverified lies where a graph could read it."""
    (linear_layer.package / FILES_FOLDER / "extra.bin").write_bytes(b"?")
    with pytest.raises(IntegrityError, match=r"has `extra\.bin`, which its manifest does not name"):
        verify(linear_layer)


def test_an_empty_file_refuses_to_load(external_layer: Layer) -> None:
    """Law 2: a file of no bytes has a digest too, and it is not the published one."""
    (external_layer.package / FILES_FOLDER / "weights.bin").write_bytes(b"")
    with pytest.raises(IntegrityError, match=r"`weights\.bin` should have sha256"):
        verify(external_layer)


def test_a_file_that_cannot_be_read_refuses_to_load(external_layer: Layer) -> None:
    path = external_layer.package / FILES_FOLDER / "weights.bin"
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        verify(external_layer)


def test_before_the_first_release_there_is_no_artifact() -> None:
    assert find_artifact({environment.MODEL: "digits"}) is None


def test_a_version_is_found_where_its_layer_lies(linear_layer: Layer) -> None:
    artifact = find_artifact(linear_layer.environ, package=str(linear_layer.package))
    assert artifact is not None
    assert artifact.manifest.ref == linear_layer.manifest.ref
    assert artifact.manifest.digest == linear_layer.manifest.digest


def test_the_golden_sample_has_its_values_in_a_file_of_its_own(linear_layer: Layer) -> None:
    artifact = find_artifact(linear_layer.environ, package=str(linear_layer.package))
    assert artifact is not None
    (shape_alone,) = artifact.manifest.golden.inputs
    assert (shape_alone.shape, shape_alone.data) == ((1, 4), ())
    assert artifact.golden() == linear_layer.manifest.golden


def test_a_layer_that_was_made_before_has_them_in_its_manifest(linear_layer: Layer) -> None:
    (linear_layer.package / environment.GOLDEN_FILE).unlink()
    (linear_layer.package / environment.MANIFEST_FILE).write_bytes(linear_layer.manifest.to_json())
    artifact = find_artifact(linear_layer.environ, package=str(linear_layer.package))
    assert artifact is not None
    assert artifact.golden() == linear_layer.manifest.golden


def test_what_loads_is_the_manifest_that_was_signed_golden_sample_and_all(linear_layer: Layer) -> None:
    """Law 2, from the signature on: a release wrote down which manifest it had verified."""
    signed = Digest.of(linear_layer.manifest.to_json()).hex
    environ = {**linear_layer.environ, environment.SIGNED_MANIFEST: signed}
    assert find_artifact(environ, package=str(linear_layer.package)) is not None
    golden = linear_layer.package / environment.GOLDEN_FILE
    document = json.loads(golden.read_bytes())
    document["rtol"] = 1.0
    golden.write_text(json.dumps(document))
    with pytest.raises(IntegrityError, match="the signed manifest of"):
        find_artifact(environ, package=str(linear_layer.package))
    assert find_artifact(linear_layer.environ, package=str(linear_layer.package)) is not None


def test_hashing_begins_before_numpy_is_imported() -> None:
    """What runs beside the imports must not wait for them."""
    probe = "import sys, functions.inference.artifact; print('numpy' in sys.modules, 'onnxruntime' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(functions.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "False"]
