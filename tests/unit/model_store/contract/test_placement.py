"""``model_store.contract.placement``: the numbers that decide where a version's files lie."""

from __future__ import annotations

import pytest

from model_store.contract import placement
from model_store.contract.digest import Digest
from model_store.contract.environment import UNZIPPED_LIMIT_BYTES
from model_store.contract.manifest import NO_GOLDEN, ArtifactFile, Manifest

MIB = 1_048_576


def manifest(**sizes: int) -> Manifest:
    files = tuple(
        ArtifactFile(name.replace("_", "."), Digest.of(name.encode()), size) for name, size in sizes.items()
    )
    return Manifest("m", 1, files, files[0].path, (), (), NO_GOLDEN, "", "")


def test_a_layer_holds_what_the_runtime_leaves_of_lambda_s_limit() -> None:
    assert placement.fits_a_layer(manifest(a_onnx=placement.LAYER_BYTES))
    assert not placement.fits_a_layer(manifest(a_onnx=placement.LAYER_BYTES, b_bin=1))
    assert placement.LAYER_BYTES + 120_000_000 < UNZIPPED_LIMIT_BYTES


@pytest.mark.parametrize(
    ("sizes", "memory_mb", "ephemeral_mb"),
    [
        ({"a_onnx": 100 * MIB}, 328, 100),
        ({"a_onnx": 1 * MIB, "w_bin": 100 * MIB}, 230, 101),
        ({"a_onnx": 1 * MIB, "w_bin": 100 * MIB + 1}, 231, 102),
    ],
)
def test_a_graph_takes_its_size_twice_and_external_data_once(
    sizes: dict[str, int], memory_mb: int, ephemeral_mb: int
) -> None:
    assert placement.memory_needed_mb(manifest(**sizes)) == memory_mb
    assert placement.ephemeral_needed_mb(manifest(**sizes)) == ephemeral_mb


def test_a_start_on_demand_has_ten_seconds_and_a_patient_one_more() -> None:
    assert placement.start_limit_s(patient=False, timeout_s=29) == 10
    assert placement.start_limit_s(patient=True, timeout_s=29) == 130
    assert placement.start_limit_s(patient=True, timeout_s=900) == 900
    assert placement.reading_s(600_000_000) == 10


def test_what_snapstart_allows_of_tmp_is_read_in_time() -> None:
    """So a model with SnapStart is never warned of a slow start."""
    largest = placement.SNAPSTART_EPHEMERAL_MB * MIB
    assert placement.reading_s(largest) < placement.start_limit_s(patient=True, timeout_s=1)
