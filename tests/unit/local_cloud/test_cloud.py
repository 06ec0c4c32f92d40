"""What the launcher does without a running cloud: refusals, stale records, what it hands to processes."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from local_cloud import cloud as local_cloud
from local_cloud.cloud import Cloud
from local_cloud.errors import LocalCloudError


def test_nothing_is_found_where_nothing_was_started(tmp_path: Path) -> None:
    assert local_cloud.find(tmp_path) is None
    assert local_cloud.stop(tmp_path) is False
    assert local_cloud.stop(tmp_path / "never made") is False
    assert not (tmp_path / "never made").exists()


@pytest.mark.parametrize("content", ["", "not json", "[1]", '{"pid": 1}'])
def test_a_damaged_record_is_no_cloud(tmp_path: Path, content: str) -> None:
    (tmp_path / "cloud.json").write_text(content)
    assert local_cloud.find(tmp_path) is None


def test_a_process_that_got_the_number_of_a_dead_cloud_is_not_taken_for_it(tmp_path: Path) -> None:
    record = {"pid": os.getpid(), "started": "some other time", "port": 1, "strict": False}
    (tmp_path / "cloud.json").write_text(json.dumps(record))
    assert local_cloud.find(tmp_path) is None
    assert local_cloud.stop(tmp_path) is False  # and this test run goes on
    assert not (tmp_path / "cloud.json").exists()


def test_a_port_that_is_taken_is_refused_with_a_hint(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalCloudError, match=rf"port {port} of 127.0.0.1 cannot be used") as refused:
            local_cloud.start(tmp_path, port=port)
    assert refused.value.hint == "Choose another port, or leave it out to get a free one."


def test_a_missing_interpreter_is_refused_with_the_way_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHYARD_LOCAL_PYTHON", str(tmp_path / "no-python"))
    with pytest.raises(LocalCloudError, match="no-python") as refused:
        local_cloud.start(tmp_path)
    assert refused.value.hint == "Set SWITCHYARD_LOCAL_PYTHON to a Python that has ministack."


def test_a_cloud_that_ends_at_its_start_leaves_nothing_and_shows_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no module named ministack\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("SWITCHYARD_LOCAL_PYTHON", str(broken))
    home = tmp_path / "home"
    with pytest.raises(LocalCloudError, match=r"exit code 3\)\nno module named ministack") as refused:
        local_cloud.start(home)
    assert refused.value.hint is not None
    assert not (home / "cloud.json").exists()
    assert not (home / "tmp").exists()


def test_the_environment_of_a_cloud_keeps_the_cdk_to_itself(tmp_path: Path) -> None:
    cloud = Cloud(endpoint_url="http://127.0.0.1:4000", port=4000, pid=1, home=tmp_path)
    variables = cloud.environment()
    assert variables["AWS_ENDPOINT_URL"] == variables["AWS_ENDPOINT_URL_S3"] == "http://127.0.0.1:4000"
    assert variables["CDK_HOME"].startswith(str(tmp_path))
    assert (variables["AWS_REGION"], variables["CDK_DEFAULT_ACCOUNT"]) == ("us-east-1", "000000000000")
    assert "AWS_CA_BUNDLE" not in variables


def test_a_strict_cloud_names_its_certificate_to_python_and_node(tmp_path: Path) -> None:
    cloud = Cloud(endpoint_url="https://127.0.0.1:4000", port=4000, pid=1, home=tmp_path, strict=True)
    variables = cloud.environment()
    assert variables["AWS_CA_BUNDLE"] == variables["NODE_EXTRA_CA_CERTS"]
    assert variables["AWS_CA_BUNDLE"].startswith(str(tmp_path))


def test_a_cloud_sees_nothing_of_the_environment_of_its_starter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of a real account")
    monkeypatch.setenv("HOME", "/home/somebody")
    variables = local_cloud._process_environment(tmp_path, 4000, strict=False)
    assert "of a real account" not in variables.values()
    assert variables["HOME"] == variables["TMPDIR"] == str(tmp_path / "tmp")
    assert variables["BIND_HOST"] == "127.0.0.1"
