"""Callers write down what they got, and whether it was that version's answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.crowd import Crowd, Question

QUESTION = Question(b"{}", {"1": [7], "2": [8]})


class Serving(BaseHTTPRequestHandler):
    """Answers as version 1, as a version 2 that lies, and with a failure, in turn."""

    protocol_version = "HTTP/1.1"
    turn = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        Serving.turn += 1
        version = ("1", "2", "")[Serving.turn % 3]
        body = json.dumps({"model_version": version, "outputs": [{"data": [7]}]}).encode()
        self.send_response(200 if version else 503)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Serving)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/infer"
    server.shutdown()
    server.server_close()


def test_each_answer_has_its_version_and_whether_it_is_that_versions_answer(url: str) -> None:
    with Crowd(url, [QUESTION], callers=1, most=30) as crowd:
        crowd.wait()
    seen = {(heard.status, heard.version, heard.true) for heard in crowd.heard}
    assert len(crowd.heard) == 30
    assert seen == {(200, "1", True), (200, "2", False), (503, "", False)}
    assert all(heard.asked <= heard.at for heard in crowd.heard)


def test_a_crowd_asks_as_often_as_it_may_and_no_more(url: str) -> None:
    with Crowd(url, [QUESTION], callers=4, most=50) as crowd:
        crowd.wait_for(50)
    assert len(crowd.heard) == 50


def test_an_answer_that_never_comes_has_status_0() -> None:
    with Crowd("http://127.0.0.1:9/infer", [QUESTION], callers=1, most=2) as crowd:
        crowd.wait()
    assert [heard.status for heard in crowd.heard] == [0, 0]


def test_waiting_for_answers_that_do_not_come_ends(url: str) -> None:
    crowd = Crowd(url, [QUESTION])
    with pytest.raises(TimeoutError, match="0 of 1 answers"):
        crowd.wait_for(1, patience_s=0.05)
