"""``benchmarks.endpoint``: what it concludes from what it measured, and a product that cannot be had."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import endpoint, peers
from benchmarks.endpoint import CASES, OURS, RAW, Sample, Server


@pytest.fixture
def server() -> Server:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait(30)
    return Server(OURS, process, "http://127.0.0.1:1/", True, 0.5)


def sample(cpu_ms: float) -> Sample:
    return Sample(per_second=1000.0, cpu_ms=cpu_ms, p50_ms=1.0, p95_ms=2.0)


def test_a_bar_compares_each_round_with_its_own_round(server: Server) -> None:
    case = next(case for case in CASES if case.connections == 1)
    samples = {
        (case.name, RAW): [sample(1.0), sample(10.0), sample(2.0)],
        (case.name, OURS): [sample(1.1), sample(11.0), sample(4.0)],
    }
    (line,) = endpoint.bars([case], [server], samples)
    assert line.endswith("| ≤ 1.15 | 1.10 | yes |")


def test_what_a_server_cannot_be_asked_it_is_not_asked(server: Server) -> None:
    server.binary = False
    assert [server.takes(case) for case in CASES] == [not case.binary for case in CASES]


def test_a_product_that_needs_what_is_not_here_is_skipped_with_the_reason(tmp_path: Path) -> None:
    peer = peers.Peer("X", ("x==1",), peers.PEERS[0].write, needs="no-such-program-here")
    with pytest.raises(peers.NotInstalledError, match="no-such-program-here"):
        peers.install(peer, tmp_path)


def test_a_server_that_ends_is_no_answer_and_its_last_error_is_the_reason(tmp_path: Path) -> None:
    (tmp_path / "body-False").write_bytes(b"{}")
    command = peers.Command([sys.executable, "-c", "raise ValueError('no model')"])
    with (
        pytest.raises(peers.NotInstalledError, match="no model"),
        endpoint.running("x", command, "http://127.0.0.1:1/", tmp_path),
    ):
        pass


def test_the_time_of_a_server_is_that_of_all_its_processes() -> None:
    found = {int(place.name) for place, _ in endpoint.processes(os.getpid())}
    assert os.getpid() in found
    assert endpoint.cpu_s(os.getpid()) > 0
    assert endpoint.memory_mb(os.getpid()) > 1
