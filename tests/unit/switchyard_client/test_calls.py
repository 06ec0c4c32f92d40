"""The calls, played against a server in memory: no network, no clock."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import pytest

from switchyard_client.calls import Calls, Job, TensorMetadata, explain_parameters, goes_through
from switchyard_client.errors import (
    AccessDeniedError,
    InputError,
    NotReadyError,
    StillWaitingError,
    TooLargeError,
    UnknownModelError,
    UnreachableError,
    UnreadableAnswerError,
)
from switchyard_client.exchange import Call, Reply, Wait
from switchyard_client.messages import Result, Written
from tests.unit.switchyard_client.server import URL, Server

T = TypeVar("T")
LARGE = np.arange(2_000_000, dtype=np.float32)  # 8 MB
FEW = np.ones(3, np.float32)


def play(call: Call[T], server: Server) -> T:
    outcome: Reply | UnreachableError | None = None
    try:
        while True:
            step = call.throw(outcome) if isinstance(outcome, UnreachableError) else call.send(outcome)
            if isinstance(step, Wait):
                outcome = None
                continue
            try:
                outcome = server(step)
            except UnreachableError as error:
                outcome = error
    except StopIteration as done:
        result: T = done.value
        return result


def infer(calls: Calls, server: Server, x: Any, **options: Any) -> Result:
    given = {"version": None, "outputs": None, "id_": None, "parameters": None, "timeout_s": None}
    return play(calls.infer("double", {"x": x}, **{**given, **options}), server)


def test_a_small_request_is_one_request() -> None:
    server = Server()
    result = infer(Calls(URL), server, FEW, id_="seven")
    assert result["y"].tolist() == [2, 2, 2]
    assert (result.model, result.version, result.digest, result.id) == ("double", "7", "sha256:ab", "seven")
    assert server.paths == ["POST /v2/models/double/infer"]


def submitted(server: Server, x: Any) -> Job:
    call = Calls(URL).submit("double", {"x": x}, version=None, outputs=None, parameters=None, timeout_s=None)
    return play(call, server)


@pytest.mark.parametrize("x", [FEW, LARGE], ids=["in the call", "as an upload"])
def test_an_answer_that_comes_later_is_asked_for_until_it_is_there(x: Any) -> None:
    server = Server(queue=True, busy_looks=2)
    job = submitted(server, x)
    assert (job.id, job.result) == ("job-1", None)
    result = play(Calls(URL).result(job, wait_s=60), server)
    assert result["y"][1] == 2 * x[1]
    assert server.paths[-3:] == ["GET /v2/models/double/results/job-1"] * 3


def test_who_waits_long_enough_for_nothing_is_told_so() -> None:
    server = Server(queue=True, busy_looks=100)
    job = submitted(server, FEW)
    with pytest.raises(StillWaitingError, match="has not answered `job-1` yet"):
        play(Calls(URL).result(job, wait_s=3), server)
    assert server.paths.count("GET /v2/models/double/results/job-1") == 3


def test_a_model_without_a_queue_answers_a_job_at_once() -> None:
    server = Server()
    job = submitted(server, FEW)
    assert play(Calls(URL).result(job, wait_s=0), server)["y"].tolist() == [2, 2, 2]
    assert server.paths == ["POST /v2/models/double/infer"]


def test_an_explanation_is_asked_for_with_the_parameters_that_were_chosen() -> None:
    asked = explain_parameters("y", None, 0.5, 4)
    assert asked == {"explain_output": "y", "explain_baseline": 0.5, "explain_window": 4}
    by_gradients = explain_parameters(None, None, 0, None, "integrated_gradients", 99)
    assert by_gradients == {
        "explain_baseline": 0,
        "explain_method": "integrated_gradients",
        "explain_steps": 99,
    }
    server = Server()
    call = Calls(URL).explain("double", {"x": FEW}, version=None, parameters=asked, timeout_s=None)
    with pytest.raises(UnknownModelError, match="there is no `/v2/models/double/explain`"):
        play(call, server)
    assert b'"explain_window":4' in (server.seen[0].body or b"").replace(b" ", b"")


def test_a_version_and_an_alias_are_in_the_path() -> None:
    server = Server()
    infer(Calls(URL), server, FEW, version=7)
    infer(Calls(URL, alias="candidate"), server, FEW)
    assert server.paths == [
        "POST /v2/models/double/versions/7/infer",
        "POST /candidate/v2/models/double/infer",
    ]


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}/v2"])
def test_an_address_may_be_written_in_more_than_one_way(url: str) -> None:
    assert Calls(url).url == URL


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(InputError, match="not an address"):
        Calls("models.example.com")


def test_the_server_is_asked_once_whether_it_reads_binary() -> None:
    server, calls = Server(), Calls(URL)
    for _ in range(2):
        assert infer(calls, server, LARGE[:100_000])["y"][1] == 2
    assert server.paths == ["GET /v2", *["POST /v2/models/double/infer"] * 2]
    assert server.seen[1].headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("extensions", [(), ("something_else",)])
def test_a_server_without_the_extension_gets_json(extensions: tuple[str, ...]) -> None:
    server = Server(extensions=extensions)
    assert infer(Calls(URL), server, LARGE[:20_000])["y"][1] == 2
    assert server.seen[-1].headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_server_that_does_not_describe_itself_gets_json(status: int) -> None:
    server = Server(next=[Reply(status, {}, b'{"error":"no"}')] * (4 if status >= 500 else 1))
    assert infer(Calls(URL), server, LARGE[:20_000])["y"][1] == 2


def test_a_refusal_to_describe_itself_is_the_caller_s_to_see() -> None:
    server = Server(next=[Reply(403, {}, b'{"message":"Forbidden"}')])
    with pytest.raises(AccessDeniedError, match="Forbidden"):
        infer(Calls(URL), server, LARGE[:20_000])


@pytest.mark.parametrize("binary", [True, False])
def test_a_caller_may_insist_on_either_way(*, binary: bool) -> None:
    server = Server()
    infer(Calls(URL, binary=binary), server, FEW)
    infer(Calls(URL, binary=binary), server, LARGE[:50_000])
    kind = "application/octet-stream" if binary else "application/json"
    assert [request.headers["content-type"] for request in server.seen] == [kind, kind]


@pytest.mark.parametrize("binary", [True, False, None])
def test_what_lambda_would_not_carry_goes_through_s3_both_ways(*, binary: bool | None) -> None:
    server = Server(answer_limit=6_000_000)
    result = infer(Calls(URL, binary=binary), server, LARGE)
    assert np.array_equal(result["y"], LARGE * 2)
    assert result.digest == "sha256:ab"
    assert [path for path in server.paths if path != "GET /v2"] == [
        "POST /v2/models/double/uploads",
        "PUT /ref-1",
        "POST /v2/models/double/infer",
        "GET /out-1",
    ]


def test_only_the_answer_may_be_too_large() -> None:
    server = Server(answer_limit=100)
    result = infer(Calls(URL), server, np.ones(40, np.float32))
    assert result["y"].tolist() == [2.0] * 40
    assert server.paths == [
        "POST /v2/models/double/infer",
        "GET /v2/models/double",
        "POST /v2/models/double/infer",
        "GET /out-1",
    ]


def test_json_that_only_a_rest_api_finds_too_large_is_uploaded() -> None:
    """A REST API carries JSON as base64 too. The client does not know which kind of API it asks."""
    server = Server(extensions=())
    server.next = [Reply(413, {}, b'{"error":"this request is larger than the API or its function takes"}')]
    five = np.zeros(1_200_000, np.float32)
    result = infer(Calls(URL, binary=False), server, five)
    assert result["y"].shape == five.shape
    assert server.paths == [
        "POST /v2/models/double/infer",
        "GET /v2/models/double",
        "POST /v2/models/double/uploads",
        "PUT /ref-1",
        "POST /v2/models/double/infer",
    ]


def test_without_hand_off_too_large_is_said_with_a_way_out() -> None:
    server = Server(handoff=False, answer_limit=100)
    with pytest.raises(TooLargeError, match="the answer is too large"):
        infer(Calls(URL), server, np.ones(40, np.float32))
    with pytest.raises(TooLargeError, match="8,000,") as caught:
        infer(Calls(URL), server, LARGE)
    assert "handoff = true" in (caught.value.hint or "")


def test_a_caller_s_own_proof_is_not_sent_to_the_bucket() -> None:
    server = Server(answer_limit=100)
    infer(Calls(URL), server, LARGE)
    assert [request.authorised for request in server.seen] == [True, True, False, True, False]


@pytest.mark.parametrize("said", [b"{}", b'{"input_ref":"r","url":"u","headers":7}'])
def test_an_upload_that_leads_nowhere_is_said(said: bytes) -> None:
    server, calls = Server(), Calls(URL, binary=True)
    server.next = [Reply(200, {}, said)]
    with pytest.raises(UnreadableAnswerError, match="no place to upload"):
        infer(calls, server, LARGE)


@pytest.mark.parametrize(
    ("written", "fits"),
    [
        (Written(bytes(6_258_688)), True),
        (Written(bytes(6_258_689)), False),
        (Written(b'"' * 3_129_344), True),
        (Written(b'"' * 3_129_345), False),
        (Written(bytes(4_694_016), 2), True),
        (Written(bytes(4_694_017), 2), False),
    ],
)
def test_the_limit_is_lambda_s_as_the_body_travels_there(written: Written, *, fits: bool) -> None:
    """JSON as a string with its quotes escaped, everything else as base64."""
    assert goes_through(written) is fits


def test_metadata_say_what_a_model_takes() -> None:
    found = play(Calls(URL).metadata("double", None), Server())
    assert (found.name, found.versions, found.hands_off) == ("double", ("7",), True)
    assert found.inputs == (TensorMetadata("x", "FP32", (-1,)),)
    assert not play(Calls(URL).metadata("double", None), Server(handoff=False)).hands_off


def test_metadata_that_are_none_are_said_to_be_none() -> None:
    with pytest.raises(UnreadableAnswerError):
        play(Calls(URL).metadata("double", None), Server(next=[Reply(200, {}, b'{"name": "x"}')]))


def test_the_server_says_what_it_is() -> None:
    said = play(Calls(URL).server(), Server())
    assert (said.name, said.version, said.extensions) == ("s", "1", ("binary_tensor_data",))


def test_liveness_and_readiness_are_about_now() -> None:
    calls = Calls(URL)
    assert play(calls.live(), Server())
    assert play(calls.ready(None, None), Server())
    assert play(calls.ready("double", None), Server())
    tired = Server(next=[Reply(503, {}, b"")])
    assert not play(calls.ready("double", None), tired)
    assert len(tired.seen) == 1
    with pytest.raises(UnknownModelError):
        play(calls.ready("other", None), Server())


def test_a_model_that_is_not_released_is_asked_again_and_then_said() -> None:
    unready = Reply(503, {}, b'{"error":"no version of double is released yet"}')
    server = Server(next=[unready] * 4)
    with pytest.raises(NotReadyError, match="no version of double is released yet"):
        infer(Calls(URL), server, FEW)
    assert len(server.seen) == 4


def test_a_broken_header_length_is_said() -> None:
    server = Server(next=[Reply(200, {"inference-header-content-length": "x"}, b"{}")])
    with pytest.raises(UnreadableAnswerError, match="header length is `x`"):
        infer(Calls(URL), server, FEW)
