"""A model of two gigabytes, from a disk into S3 and back: whole processes, as a person runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from local_cloud.cloud import Cloud
from model_store.adapters.s3 import S3Store, s3_client
from model_store.contract.parts import PART_BYTES
from model_store.versions import versions

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.cloud

GIGABYTES = 2
MEMORY_LIMIT_BYTES = 200_000_000
"""The most that publishing or fetching may take, whatever the model's size."""

MODEL = """
import sys
from onnx import TensorProto, helper
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in "xy")
graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "graph", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
open(sys.argv[1], "wb").write(model.SerializeToString())
"""

WORK = """
import sys
from pathlib import Path
from model_store.adapters.s3 import S3Store
from model_store.contract.names import ByVersion
verb, bucket, folder = sys.argv[1:]
store = S3Store(bucket)
def say(step, done, total):
    print(step, done, flush=True)
if verb == "publish":
    from model_store.publish import publish
    publish(store, "large", Path(folder), created_by="test", on_progress=say)
else:
    from model_store.fetch import fetch
    fetch(store, ByVersion("large", 1), Path(folder), on_progress=say)
# Not getrusage: that one remembers the process it was forked from.
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print("peak", int(peak) * 1024)
"""


@pytest.fixture
def bucket(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    client = s3_client()
    name = f"large-{uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    yield name
    for item in client.list_objects_v2(Bucket=name).get("Contents", []):
        client.delete_object(Bucket=name, Key=item["Key"])
    for upload in client.list_multipart_uploads(Bucket=name).get("Uploads", []):
        client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    client.delete_bucket(Bucket=name)


def artifact(folder: Path, size: int) -> Path:
    """A small model with a companion that takes no room on the disk: zeros, but for its ends."""
    folder.mkdir()
    subprocess.run([sys.executable, "-c", MODEL, str(folder / "model.onnx")], check=True)
    with (folder / "companion.bin").open("wb") as file:
        file.write(os.urandom(8))
        file.truncate(size - 8)
        file.seek(0, os.SEEK_END)
        file.write(os.urandom(8))
    return folder


def free_memory() -> int:
    facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(facts["MemAvailable"].split()[0]) * 1024


def begin(verb: str, bucket: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORK, verb, bucket, str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def peak_of(work: subprocess.Popen[str]) -> int:
    said, _ = work.communicate(timeout=300)
    assert work.returncode == 0
    return int(said.splitlines()[-1].removeprefix("peak "))


def test_two_gigabytes_are_published_and_fetched_in_little_memory(bucket: str, tmp_path: Path) -> None:
    """A file is never whole in memory, on its way in or out."""
    if shutil.disk_usage(tmp_path).free < 3 * GIGABYTES * 10**9 or free_memory() < 4 * GIGABYTES * 10**9:
        pytest.skip("needs room for the model that comes back, and memory for the cloud that keeps it")
    folder = artifact(tmp_path / "artifact", GIGABYTES * 10**9)
    assert peak_of(begin("publish", bucket, folder)) < MEMORY_LIMIT_BYTES
    assert peak_of(begin("fetch", bucket, tmp_path / "back")) < MEMORY_LIMIT_BYTES
    back = tmp_path / "back" / "companion.bin"
    assert subprocess.run(["cmp", str(folder / "companion.bin"), str(back)], check=False).returncode == 0
    back.unlink()


def test_a_publish_that_is_killed_goes_on_where_it_ended(bucket: str, tmp_path: Path) -> None:
    """Law 1: kill -9 in the middle leaves no version; the next publish sends the parts that are missing."""
    count = 30
    folder = artifact(tmp_path / "artifact", count * PART_BYTES)
    dying = begin("publish", bucket, folder)
    assert dying.stdout
    for line in dying.stdout:
        step, _, done = line.rpartition(" ")
        if step == "storing companion.bin" and int(done) > 5 * PART_BYTES:
            dying.kill()
            break
    dying.communicate()
    client = s3_client()
    store = S3Store(bucket, client=client)
    assert versions(store, "large") == []
    (upload,) = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    arrived = client.list_parts(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])["Parts"]
    assert 5 <= len(arrived) < count

    going_on = begin("publish", bucket, folder)
    said, _ = going_on.communicate(timeout=120)
    assert going_on.returncode == 0
    told = [int(line.rpartition(" ")[2]) for line in said.splitlines() if line.startswith("storing comp")]
    # The first thing that is told of the file is what is there already.
    assert told[1] - told[0] == len(arrived) * PART_BYTES
    assert versions(store, "large") == [1]
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
