"""``functions.operations.reply``: CloudFormation always gets an answer it can read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import pytest

from functions.operations import reply

EVENT = {
    "StackId": "arn:aws:cloudformation:us-east-1:000000000000:stack/Switchyard-test/1",
    "RequestId": "r-1",
    "LogicalResourceId": "Guard",
}


class Mailbox(BaseHTTPRequestHandler):
    """What stands behind a pre-signed address: takes PUTs, fails as often as it is told to."""

    letters: ClassVar[list[tuple[dict[str, str], dict[str, Any]]]] = []
    failures: ClassVar[int] = 0

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if Mailbox.failures > 0:
            Mailbox.failures -= 1
            self.send_response(503)
        else:
            Mailbox.letters.append((dict(self.headers), json.loads(body)))
            self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Keep the test output quiet."""


@pytest.fixture
def mailbox() -> Iterator[str]:
    Mailbox.letters = []
    Mailbox.failures = 0
    server = HTTPServer(("127.0.0.1", 0), Mailbox)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/answer"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_arrives_without_a_content_type(mailbox: str) -> None:
    """The pre-signed address was signed without one."""
    reply.send({**EVENT, "ResponseURL": mailbox}, reply.success(EVENT, physical_id="g", data={"Base": "b"}))
    ((headers, body),) = Mailbox.letters
    assert not headers.get("Content-Type")
    assert body == {**EVENT, "Status": "SUCCESS", "PhysicalResourceId": "g", "Data": {"Base": "b"}}


def test_an_answer_that_is_not_taken_is_sent_again(mailbox: str) -> None:
    Mailbox.failures = 2
    reply.send({**EVENT, "ResponseURL": mailbox}, reply.failure(EVENT, physical_id="g", reason="no"))
    assert [body["Status"] for _, body in Mailbox.letters] == ["FAILED"]


def test_a_long_reason_is_cut_so_that_cloudformation_takes_it() -> None:
    answer = reply.failure(EVENT, physical_id="g", reason="x" * 10_000)
    assert len(json.dumps(answer)) < 4096
