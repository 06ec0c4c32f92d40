"""The laws of ``functions.gateway.ports.Endpoint``, held against every adapter.

The network adapters talk to a server in this process that speaks as SageMaker's runtime and control plane do
(service model ``sagemaker-runtime`` of botocore: paths, headers, error documents), and as the container behind a
load balancer does. That they fit the embedded cloud's SageMaker is shown in ``tests/end_to_end``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from functions.gateway.adapters.balanced import BalancedEndpoint
from functions.gateway.adapters.connection import IDLE_S, Connection
from functions.gateway.adapters.memory import MemoryEndpoint
from functions.gateway.adapters.sagemaker import BINARY_TYPE, SageMakerEndpoint
from functions.gateway.ports import WAKING_S, Endpoint, Patience, Places, Said, ThrottledError
from functions.inference.adapters.memory import MemoryObjects
from functions.protocol.errors import CloudUnavailableError, DeadlineError, NotReadyError

if TYPE_CHECKING:
    from functions.gateway.pin import Pin

NAME = "switchyard-test-digits-2"
CLAIMS = {"x-switchyard-model": "digits:2", "x-switchyard-digest": "sha256:" + "ab" * 32}
BODY = b'{"inputs": []}'
BINARY = b'{"inputs": []}\x00\x01\x02'
ANSWER = b'{"outputs": []}'
REFUSAL = b'{"error": "the body is not JSON"}'


@dataclass
class Behaviour:
    """What the endpoint does, and what was asked of it."""

    does: str = "answers"
    requests: list[dict[str, Any]] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)
    opened: ExitStack = field(default_factory=ExitStack)

    def closing(self, endpoint: Endpoint) -> Endpoint:
        """Close it when the test is over."""
        self.opened.callback(endpoint.close)
        return endpoint


def said(behaviour: Behaviour, body: bytes, json_length: int | None) -> Said:
    if behaviour.does == "refuses":
        return Said(400, REFUSAL)
    if json_length is None:
        return Said(200, ANSWER, None, CLAIMS)
    return Said(200, ANSWER + body[json_length:], len(ANSWER), CLAIMS)


class Server(BaseHTTPRequestHandler):
    """SageMaker and a load balancer at one address."""

    protocol_version = "HTTP/1.1"
    behaviour: Behaviour

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        here = self.behaviour
        here.connections.add(self.client_address)
        here.requests.append({"path": self.path, "headers": dict(self.headers.items()), "body": body})
        if here.does == "hangs up":
            self.close_connection = True
            return
        if here.does == "is late":
            time.sleep(1.0)
            self.close_connection = True
            return
        if self.headers.get("x-amz-target") == "SageMaker.DescribeEndpoint":
            self._describe()
        elif self.path == f"/endpoints/{NAME}/invocations":
            self._invoke(body)
        elif self.path == f"/endpoints/{NAME}/async-invocations":
            self._queue()
        elif self.headers.get("x-switchyard-endpoint") == NAME:
            self._balance(body)
        else:
            self._say(404, b"{}")

    def do_GET(self) -> None:
        self.do_POST()

    def _describe(self) -> None:
        if self.behaviour.does == "is missing":
            document = {"__type": "ValidationException", "message": 'Could not find endpoint "arn:secret".'}
            self._say(400, json.dumps(document).encode())
        else:
            status = "Creating" if self.behaviour.does == "is creating" else "Updating"
            self._say(200, json.dumps({"EndpointName": NAME, "EndpointStatus": status}).encode())

    def _queue(self) -> None:
        if self._refuses():
            return
        id_ = self.headers["x-amzn-sagemaker-inference-id"]
        headers = {
            "x-amzn-sagemaker-outputlocation": f"s3://later/answers/{id_}.out",
            "x-amzn-sagemaker-failurelocation": f"s3://later/failures/{id_}-error.out",
        }
        self._say(202, json.dumps({"InferenceId": id_}).encode(), headers)

    def _refuses(self) -> bool:
        """Whether SageMaker itself says no, before any model is asked."""
        if self.behaviour.does == "throttles":
            self._say(
                400, b'{"message": "Rate exceeded"}', {"x-amzn-errortype": "ThrottlingException:http://x/"}
            )
            return True
        if self.behaviour.does in ("is missing", "is creating"):
            text = f'{{"message": "Endpoint {NAME} of account 1 not found."}}'
            self._say(400, text.encode(), {"x-amzn-errortype": "ValidationError"})
            return True
        if self.behaviour.does == "sleeps":
            text = (
                '{"message": "Inference Component has no capacity to process this request. '
                'ApplicationAutoScaling may be in-progress (if configured) or try to increase the capacity."}'
            )
            self._say(400, text.encode(), {"x-amzn-errortype": "ValidationError"})
            return True
        if self.behaviour.does == "breaks":
            self._say(500, b"{}", {"x-amzn-errortype": "InternalFailure"})
            return True
        return False

    def _invoke(self, body: bytes) -> None:
        if self._refuses():
            return
        kind = self.headers["content-type"]
        length = int(kind.removeprefix(BINARY_TYPE)) if kind.startswith(BINARY_TYPE) else None
        answer = said(self.behaviour, body, length)
        if answer.status != 200:
            document = {
                "OriginalStatusCode": answer.status,
                "OriginalMessage": answer.body.decode(),
                "Message": "Received client error (400) from all with message …",
            }
            self._say(424, json.dumps(document).encode(), {"x-amzn-errortype": "ModelError"})
            return
        attributes = ";".join(f"{name}={value}" for name, value in answer.claims.items())
        headers = {"x-amzn-sagemaker-custom-attributes": attributes}
        if answer.json_length is not None:
            headers["content-type"] = f"{BINARY_TYPE}{answer.json_length}"
        if self.behaviour.does == "breaks off":
            headers["content-length"] = str(len(answer.body) + 1)
            self.close_connection = True
        self._say(200, answer.body, headers)

    def _balance(self, body: bytes) -> None:
        if self.behaviour.does in ("is missing", "is creating"):
            self._say(503, b"<html>", {"content-type": "text/html"})
            return
        if self.path.endswith("/ready"):
            self._say(200, b'{"name": "digits", "ready": true}')
            return
        length = self.headers.get("inference-header-content-length")
        answer = said(self.behaviour, body, int(length) if length else None)
        headers = dict(answer.claims)
        if answer.json_length is not None:
            headers["inference-header-content-length"] = str(answer.json_length)
            headers["content-type"] = "application/octet-stream"
        self._say(answer.status, answer.body, headers)

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        length = {"content-type": "application/json", "content-length": str(len(body))}
        for name, value in {**length, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def behaviour() -> Iterator[Behaviour]:
    with ExitStack() as opened:
        yield Behaviour(opened=opened)


@pytest.fixture
def address(behaviour: Behaviour) -> Iterator[str]:
    handler = type("Handler", (Server,), {"behaviour": behaviour})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def memory(behaviour: Behaviour, address: str) -> Endpoint:
    del address
    endpoint = MemoryEndpoint(lambda body, length: said(behaviour, body, length), MemoryObjects())
    endpoint.throttled = 1 if behaviour.does == "throttles" else 0
    endpoint.takes_s = 1.0 if behaviour.does == "is late" else 0.0
    endpoint.asleep = behaviour.does == "sleeps"
    endpoint.exists = behaviour.does not in ("is missing", "is creating")
    return endpoint


def environ_of(address: str) -> dict[str, str]:
    return {
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_ENDPOINT_URL": address,
    }


def sagemaker(behaviour: Behaviour, address: str) -> Endpoint:
    return behaviour.closing(SageMakerEndpoint.from_environment(NAME, environ_of(address)))


def balanced(behaviour: Behaviour, address: str) -> Endpoint:
    return behaviour.closing(BalancedEndpoint(NAME, "digits", Connection(address)))


QUEUEING = pytest.mark.parametrize("make", [memory, sagemaker], indirect=True, ids=["memory", "sagemaker"])

Make = Callable[[str], Endpoint]


@pytest.fixture(params=[memory, sagemaker, balanced], ids=["memory", "sagemaker", "ec2"])
def make(request: pytest.FixtureRequest, behaviour: Behaviour, address: str) -> Make:
    """Make an endpoint that behaves as told."""

    def made(does: str) -> Endpoint:
        behaviour.does = does
        endpoint: Endpoint = request.param(behaviour, address)
        return endpoint

    return made


XRAY = "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1"
W3C = "00-67891233abcdef012345678912345678-463ac35c9f6413ad-01"


def test_an_endpoint_is_told_in_which_trace_it_is_asked(behaviour: Behaviour, address: str) -> None:
    """By the one header that SageMaker hands on, and by the W3C's own where there is a load balancer."""
    environ = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    environ |= {"AWS_ENDPOINT_URL": address, "SWITCHYARD_ENDPOINT_URL": address}
    pin = SimpleNamespace(endpoint=NAME, model="digits")
    behaviour.does = "answers"
    by_sagemaker = behaviour.closing(SageMakerEndpoint.from_environment(NAME, environ))
    by_balancer = behaviour.closing(BalancedEndpoint.from_environment(cast("Pin", pin), environ))
    for endpoint in (by_sagemaker, by_balancer):
        endpoint.infer(BODY, None, seconds=30)
    # Lambda changes the variable from invocation to invocation.
    environ["_X_AMZN_TRACE_ID"] = XRAY
    for endpoint in (by_sagemaker, by_balancer):
        endpoint.infer(BODY, None, seconds=30)
    names = ("x-amzn-sagemaker-custom-attributes", "traceparent")
    heard = [
        {name.lower(): value for name, value in asked["headers"].items() if name.lower() in names}
        for asked in behaviour.requests
    ]
    assert heard == [{}, {}, {names[0]: f"traceparent={W3C}"}, {names[1]: W3C}]
    signed = {name.lower(): value for name, value in behaviour.requests[2]["headers"].items()}
    assert names[0] in signed["authorization"]


def test_an_explanation_is_asked_for_where_inferences_are(behaviour: Behaviour, address: str) -> None:
    """SageMaker has one path, so its container is told in the attributes; a load balancer passes paths on."""
    environ = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    environ |= {"AWS_ENDPOINT_URL": address, "SWITCHYARD_ENDPOINT_URL": address, "_X_AMZN_TRACE_ID": XRAY}
    pin = SimpleNamespace(endpoint=NAME, model="digits")
    by_sagemaker = behaviour.closing(SageMakerEndpoint.from_environment(NAME, environ))
    by_balancer = behaviour.closing(BalancedEndpoint.from_environment(cast("Pin", pin), environ))
    for endpoint in (by_sagemaker, by_balancer):
        assert endpoint.infer(BODY, None, seconds=30, explain=True).body == ANSWER
    asked, other = behaviour.requests
    told = {name.lower(): value for name, value in asked["headers"].items()}
    assert asked["path"] == f"/endpoints/{NAME}/invocations"
    assert told["x-amzn-sagemaker-custom-attributes"] == f"x-switchyard-call=explain;traceparent={W3C}"
    assert other["path"] == "/v2/models/digits/explain"


def test_an_answer_comes_as_it_is_with_who_gave_it(make: Make) -> None:
    """Law 2: what the endpoint says it serves travels with the answer."""
    assert make("answers").infer(BODY, None, seconds=30) == Said(200, ANSWER, None, CLAIMS)


def test_binary_data_and_the_length_of_their_json_travel_both_ways(make: Make) -> None:
    found = make("answers").infer(BINARY, len(BODY), seconds=30)
    assert found == Said(200, ANSWER + BINARY[len(BODY) :], len(ANSWER), CLAIMS)


def test_a_refusal_of_the_model_keeps_its_status_and_its_sentence(make: Make) -> None:
    found = make("refuses").infer(BODY, None, seconds=30)
    assert (found.status, found.body) == (400, REFUSAL)


def test_who_is_late_is_given_up(make: Make) -> None:
    with pytest.raises(DeadlineError):
        make("is late").infer(BODY, None, seconds=0.2)


def test_an_endpoint_that_answers_is_ready(make: Make) -> None:
    make("answers").must_be_ready(seconds=30)


@pytest.mark.parametrize("does", ["is missing", "is creating"])
def test_an_endpoint_that_is_not_there_is_not_ready_and_no_address_is_told(make: Make, does: str) -> None:
    endpoint = make(does)
    for ask in (
        lambda: endpoint.infer(BODY, None, seconds=30),
        lambda: endpoint.must_be_ready(seconds=30),
    ):
        with pytest.raises(NotReadyError) as refused:
            ask()
        assert "arn" not in str(refused.value)


@QUEUEING
def test_a_throttled_request_may_be_repeated(make: Make) -> None:
    with pytest.raises(ThrottledError):
        make("throttles").infer(BODY, None, seconds=30)


def begin(endpoint: Endpoint, payload: bytes | str = BODY) -> Places:
    assert isinstance(endpoint, MemoryEndpoint | SageMakerEndpoint)
    return endpoint.begin(payload, None, name="one", patience=Patience(60, 600), seconds=30)


@QUEUEING
def test_a_queued_request_says_where_its_outcome_is_going_to_lie(make: Make) -> None:
    assert begin(make("answers")) == Places("s3://later/answers/one.out", "s3://later/failures/one-error.out")


@QUEUEING
@pytest.mark.parametrize(
    ("does", "error"),
    [("throttles", ThrottledError), ("is missing", NotReadyError), ("is creating", NotReadyError)],
    ids=["throttled", "missing", "creating"],
)
def test_queueing_is_refused_as_asking_is(make: Make, does: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        begin(make(does))


@QUEUEING
def test_an_endpoint_that_sleeps_is_ready_and_says_when_to_come_again(make: Make) -> None:
    endpoint = make("sleeps")
    endpoint.must_be_ready(seconds=30)
    with pytest.raises(NotReadyError, match="has no machine while nobody asks") as waking:
        endpoint.infer(BODY, None, seconds=30)
    assert waking.value.retry_after_s == WAKING_S


def test_a_component_is_named_to_the_endpoint_that_holds_it(behaviour: Behaviour, address: str) -> None:
    environ = {**environ_of(address), "SWITCHYARD_COMPONENT": "on"}
    behaviour.closing(SageMakerEndpoint.from_environment(NAME, environ)).infer(BODY, None, seconds=30)
    headers = {name.lower(): value for name, value in behaviour.requests[-1]["headers"].items()}
    assert headers["x-amzn-sagemaker-inference-component"] == NAME


def test_a_body_travels_in_the_call_and_an_object_by_its_address(behaviour: Behaviour, address: str) -> None:
    endpoint = SageMakerEndpoint.from_environment(NAME, environ_of(address))
    behaviour.closing(endpoint)
    endpoint.begin(BINARY, len(BODY), name="one", patience=Patience(60, 600), seconds=30)
    endpoint.begin("s3://b/k", None, name="two", patience=Patience(60, 600), seconds=30)
    inline, stored = (
        {name.lower(): value for name, value in request["headers"].items()} for request in behaviour.requests
    )
    assert [request["body"] for request in behaviour.requests] == [BINARY, b""]
    assert inline["x-amzn-sagemaker-content-type"] == f"{BINARY_TYPE}{len(BODY)}"
    assert "x-amzn-sagemaker-inputlocation" not in inline
    assert stored["x-amzn-sagemaker-inputlocation"] == "s3://b/k"
    assert stored["x-amzn-sagemaker-inference-id"] == "two"
    assert stored["x-amzn-sagemaker-requestttlseconds"] == "600"
    assert stored["x-amzn-sagemaker-invocationtimeoutseconds"] == "60"


def test_a_service_that_fails_may_work_later(behaviour: Behaviour, address: str) -> None:
    endpoint = sagemaker(behaviour, address)
    behaviour.does = "breaks"
    with pytest.raises(CloudUnavailableError, match="InternalFailure"):
        endpoint.infer(BODY, None, seconds=30)


def test_half_an_answer_is_none(behaviour: Behaviour, address: str) -> None:
    behaviour.does = "breaks off"
    with pytest.raises(CloudUnavailableError, match="in the middle"):
        sagemaker(behaviour, address).infer(BODY, None, seconds=30)


def test_nobody_there_is_told_without_an_address() -> None:
    endpoint = balanced(Behaviour(), "http://127.0.0.1:9")
    with pytest.raises(CloudUnavailableError, match="cannot be reached"):
        endpoint.infer(BODY, None, seconds=30)


def test_one_connection_carries_all_requests(behaviour: Behaviour, address: str) -> None:
    endpoint = sagemaker(behaviour, address)
    for _ in range(5):
        endpoint.infer(BODY, None, seconds=30)
    assert (len(behaviour.requests), len(behaviour.connections)) == (5, 1)


def test_a_connection_that_the_server_closed_is_replaced_without_a_word(
    behaviour: Behaviour, address: str
) -> None:
    connection = Connection(address)
    endpoint = behaviour.closing(BalancedEndpoint(NAME, "digits", connection))
    endpoint.infer(BODY, None, seconds=30)
    opened = connection._open
    assert opened is not None
    assert opened.sock is not None
    opened.sock.shutdown(2)
    assert endpoint.infer(BODY, None, seconds=30).status == 200
    assert len(behaviour.connections) == 2


def test_a_server_that_hangs_up_on_a_new_connection_is_not_asked_again(
    behaviour: Behaviour, address: str
) -> None:
    behaviour.does = "hangs up"
    with pytest.raises(CloudUnavailableError, match="did not answer"):
        balanced(behaviour, address).infer(BODY, None, seconds=30)
    assert len(behaviour.requests) == 1


def test_a_connection_that_slept_is_not_trusted(behaviour: Behaviour, address: str) -> None:
    """A frozen environment does not hear that a load balancer has dropped its connection."""
    now = [0.0]
    connection = Connection(address, clock=lambda: now[0])
    endpoint = behaviour.closing(BalancedEndpoint(NAME, "digits", connection))
    endpoint.infer(BODY, None, seconds=30)
    now[0] += IDLE_S + 1
    endpoint.infer(BODY, None, seconds=30)
    assert len(behaviour.connections) == 2


def test_readiness_is_believed_for_a_moment(behaviour: Behaviour, address: str) -> None:
    """DescribeEndpoint belongs to the control plane, which refuses those who ask too often."""
    endpoint = sagemaker(behaviour, address)
    endpoint.must_be_ready(seconds=30)
    endpoint.must_be_ready(seconds=30)
    assert len(behaviour.requests) == 1
