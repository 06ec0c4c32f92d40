"""Starting and finding clouds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local_cloud import cloud as local_cloud
from local_cloud.errors import LocalCloudError

pytestmark = pytest.mark.cloud

STARTING = "import sys; from pathlib import Path; from local_cloud.cloud import start; print(start(Path(sys.argv[1])).pid)"


def test_two_starts_at_once_make_one_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWITCHYARD_CLOUD_PARENT_PID", raising=False)
    command = [sys.executable, "-c", STARTING, str(tmp_path)]
    root = Path(local_cloud.__file__).parents[1]
    starters = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(3)]
    try:
        pids = {starter.communicate(timeout=60)[0].strip() for starter in starters}
        assert [starter.returncode for starter in starters] == [0, 0, 0]
        found = local_cloud.find(tmp_path)
        assert found is not None
        assert pids == {str(found.pid)}
    finally:
        assert local_cloud.stop(tmp_path)


def test_a_running_cloud_is_returned_and_another_kind_is_refused(account: Any) -> None:
    running = account.cloud
    assert local_cloud.start(running.home) == local_cloud.find(running.home) == running
    with pytest.raises(LocalCloudError, match="runs already"):
        local_cloud.start(running.home, strict=True)
    with pytest.raises(LocalCloudError, match="runs already"):
        local_cloud.start(running.home, port=running.port + 1)


def test_a_cloud_listens_on_the_loopback_address_only(account: Any) -> None:
    wanted = f":{account.cloud.port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert {line[1] for line in lines if line[1].endswith(wanted) and line[3] == "0A"} == {
        f"0100007F{wanted}"
    }
