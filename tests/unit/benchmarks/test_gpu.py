"""``benchmarks.gpu`` where there is no GPU: it says so, and ends well."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import gpu
from model_store.contract.manifest import Manifest


@pytest.mark.skipif(gpu.why_not() is None, reason="this machine has a GPU")
def test_without_a_gpu_it_says_why_and_is_no_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert gpu.main() == 0
    assert capsys.readouterr().out.startswith("skipped: ")


def test_without_torch_it_says_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert gpu.why_not() == "torch is not installed"


def test_the_model_folder_names_its_bytes_and_the_body_its_shape(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(b"program")
    environ = gpu.lay_out(tmp_path / "model", "torch-export", tmp_path / "model.pt2")
    manifest = Manifest.from_json((tmp_path / "model" / "manifest.json").read_bytes())
    assert environ["SWITCHYARD_DIGEST"] == str(manifest.digest)
    script = gpu.load_script(tmp_path).read_text()
    body = (tmp_path / "body-True").read_bytes()
    length = int(script.split('Length"] = "')[1].split('"')[0])
    assert json.loads(body[:length])["inputs"][0]["shape"] == [1, gpu.WIDTH]
    assert len(body) == length + 4 * gpu.WIDTH
