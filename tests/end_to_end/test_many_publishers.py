"""Fifty processes publish at once: fifty versions, none lost, none shared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from model_store.adapters.directory import DirectoryStore
from model_store.adapters.s3 import S3Store, s3_client
from model_store.contract.digest import Digest
from model_store.contract.keys import blob_key
from model_store.contract.names import ByVersion
from model_store.versions import load_manifests, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_store.ports import ObjectStore

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 50

# One interpreter imports everything and forks; each child is ready when its artifact is written and its
# connection stands, and all of them start when the parent lets go of the pipe that they wait on.
NURSERY = """
import json, os, struct, sys, traceback
from pathlib import Path
from model_store.adapters.directory import DirectoryStore
from model_store.adapters.s3 import S3Store
from model_store.publish import publish

where, folder, contents = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
ready, go = os.pipe(), os.pipe()

def work(at, content):
    os.close(go[1])
    store = S3Store(where[3:]) if where.startswith("s3:") else DirectoryStore(Path(where))
    artifact = folder / str(at)
    artifact.mkdir()
    data = content.encode()
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode()
    (artifact / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    (artifact / "config.json").write_text("{}")
    store.exists("models/warm")
    os.write(ready[1], b"r")
    os.read(go[0], 1)
    done = publish(store, "bert", artifact, created_by=content)
    answer = {"version": done.manifest.version, "created": done.created, "digest": done.manifest.digest.hex}
    (folder / f"{at}.json").write_text(json.dumps(answer))

children = []
for at, content in enumerate(contents):
    child = os.fork()
    if child == 0:
        try:
            work(at, content)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    children.append(child)
waiting = len(children)
os.close(ready[1])
while waiting and (said := os.read(ready[0], waiting)):
    waiting -= len(said)
os.close(go[1])
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


@pytest.fixture(params=["directory", pytest.param("cloud", marks=[pytest.mark.cloud])])
def where(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, ObjectStore]]:
    if request.param == "directory":
        yield str(tmp_path / "store"), DirectoryStore(tmp_path / "store")
        return
    cloud = request.getfixturevalue("cloud")
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    client = s3_client(endpoint_url=cloud.endpoint_url)
    bucket = f"many-{uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    yield f"s3:{bucket}", S3Store(bucket, client=client)


def publish_at_once(where: str, folder: Path, contents: list[str]) -> list[Any]:
    command = [sys.executable, "-c", NURSERY, where, str(folder), json.dumps(contents)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"{at}.json").read_text()) for at in range(len(contents))]


def test_fifty_processes_get_fifty_versions(where: tuple[str, ObjectStore], tmp_path: Path) -> None:
    """Law 1: none lost, none shared, no gap."""
    name, store = where
    contents = [f"model {number}" for number in range(PROCESSES)]
    answers = publish_at_once(name, tmp_path, contents)
    assert sorted(answer["version"] for answer in answers) == list(range(1, PROCESSES + 1))
    assert versions(store, "bert") == list(range(1, PROCESSES + 1))
    kept = load_manifests(store, [ByVersion("bert", number) for number in versions(store, "bert")])
    assert {manifest.digest.hex: manifest.version for manifest in kept} == {
        answer["digest"]: answer["version"] for answer in answers
    }
    assert {manifest.created_by for manifest in kept} == set(contents)
    for manifest in kept:
        for file in manifest.files:
            assert Digest.of(store.get(blob_key(file.digest))) == file.digest


def test_fifty_processes_with_the_same_bytes_agree_on_one_version(
    where: tuple[str, ObjectStore], tmp_path: Path
) -> None:
    """Law 1: identical content is the version it already is, also at the same moment."""
    name, store = where
    answers = publish_at_once(name, tmp_path, ["the same"] * PROCESSES)
    assert {answer["version"] for answer in answers} == {1}
    assert [answer["created"] for answer in answers].count(True) == 1
    assert versions(store, "bert") == [1]
