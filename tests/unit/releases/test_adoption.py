"""``releases.adoption``: what answers already is asked, compared, and its callers are led here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from model_store.contract.errors import InvalidNameError
from model_store.contract.manifest import Golden
from model_store.contract.tensors import TensorData
from releases.adapters.memory import MemoryFunctions
from releases.adapters.memory_asked import MemoryAskedEndpoint
from releases.adapters.memory_fronts import MemoryFronts
from releases.adoption import (
    BEFORE,
    Integration,
    Plain,
    RunningEndpoint,
    RunningFunction,
    give_back,
    own_answers,
    take_over,
)
from releases.endpoints import ADOPTED
from releases.errors import NotDeployedError, ReleaseError, UnfitVersionError
from releases.ports import FunctionConfig

HERE = "switchyard-prod-digits"
SCORES = "arn:aws:lambda:eu-central-1:123456789012:function:scores"
GOLDEN = Golden(
    (TensorData("x", "FP32", (2, 2), (1.0, 2.0, 3.0, 4.0)),), (TensorData("y", "FP32", (2,), (3.0, 7.0)),)
)


def sums(config: FunctionConfig, event: dict[str, Any]) -> Any:
    """A function of somebody's own: sums of rows, in the protocol and in plain JSON, a little off."""
    if "rows" in event:
        return {"scores": [sum(row) + 1e-6 for row in event["rows"]]}
    if "rawPath" not in event:
        return {"message": "what?"}
    if not event["rawPath"].endswith("/infer"):
        return {"statusCode": 404, "body": "{}"}
    (x,) = json.loads(event["body"])["inputs"]
    rows, columns = x["shape"]
    data = [sum(x["data"][at * columns : (at + 1) * columns]) + 1e-6 for at in range(rows)]
    output = {"name": "y", "datatype": "FP32", "shape": [rows], "data": data}
    return {"statusCode": 200, "headers": {}, "body": json.dumps({"outputs": [output]})}


def running(play: Any = sums, written: str = "scores", **more: Any) -> RunningFunction:
    functions = MemoryFunctions(play)
    functions.deploy("scores", memory_mb=128, layers=(), environment={}, code_sha256="theirs")
    return RunningFunction(functions, written, "digits", **more)


def test_its_own_answers_become_the_golden_sample_in_the_protocol_and_in_plain_json() -> None:
    """Law 5: the release is then checked against what ran before."""
    for asked in (running(), running(plain=Plain.parse("rows=scores"))):
        found = own_answers(asked, GOLDEN)
        assert found.inputs == GOLDEN.inputs
        assert found.outputs[0].data == (3.000001, 7.000001)
    assert running().facts == {ADOPTED: "lambda:scores:$LATEST", "adopted_code": "theirs"}


def test_files_that_are_not_its_model_are_refused_with_the_numbers() -> None:
    other = Golden(GOLDEN.inputs, (TensorData("y", "FP32", (2,), (3.0, 8.0)),))
    with pytest.raises(UnfitVersionError, match="not the model that `lambda:scores:"):
        own_answers(running(), other)


def test_what_does_not_speak_the_protocol_says_how_to_ask_it() -> None:
    def rude(config: FunctionConfig, event: dict[str, Any]) -> Any:
        return ["hello"]

    with pytest.raises(UnfitVersionError, match="does not answer in the protocol") as error:
        own_answers(running(rude), GOLDEN)
    assert "--plain rows=scores" in str(error.value.hint)
    with pytest.raises(UnfitVersionError, match="gave no `points`"):
        own_answers(running(plain=Plain("rows", "points")), GOLDEN)
    two = Golden(GOLDEN.inputs * 2, GOLDEN.outputs)
    with pytest.raises(UnfitVersionError, match="2 inputs and 1 outputs"):
        own_answers(running(plain=Plain("rows", "scores")), two)


def test_what_fails_or_is_not_there_is_named() -> None:
    def broken(config: FunctionConfig, event: dict[str, Any]) -> Any:
        raise ValueError("no such column")

    with pytest.raises(UnfitVersionError, match="no such column"):
        own_answers(running(broken), GOLDEN)
    with pytest.raises(NotDeployedError, match="no Lambda function `nobody"):
        _ = running(written="nobody").facts
    with pytest.raises(InvalidNameError, match="names no Lambda function"):
        running(written="not a name")
    with pytest.raises(InvalidNameError, match="does not say what it takes"):
        Plain.parse("rows")


def fronts(*routes: str, form: str = "2.0") -> MemoryFronts:
    gateway = f"arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/{SCORES}:prod/invocations"
    return MemoryFronts(
        {
            "api": [
                Integration("a", f"{SCORES}:prod", routes or ("POST /v2/models/digits/infer",), form=form),
                Integration("b", gateway, ("$default",)),
                Integration("c", f"{SCORES}-old:prod", ("GET /old",)),
            ]
        }
    )


def test_every_route_that_leads_to_it_leads_here_and_back() -> None:
    found = fronts()
    before = found.integrations("api")
    led = take_over(found, "api", running(), function=HERE, alias="live")
    assert [item.id for item in led] == ["a", "b"]
    here = SCORES.replace("scores", f"{HERE}:live")
    assert [item.uri for item in found.integrations("api")][:2] == [
        here,
        f"arn:aws:apigateway:eu-central-1:lambda:path/2015-03-31/functions/{here}/invocations",
    ]
    assert found.integrations("api")[0].note == f"{BEFORE}{SCORES}:prod"
    assert found.integrations("api")[2] == before[2]
    assert found.allowed == {("api", HERE, "live")}
    assert take_over(found, "api", running(), function=HERE, alias="live") == []
    assert [item.id for item in give_back(found, "api", function=HERE)] == ["a", "b"]
    assert found.integrations("api") == before
    assert give_back(found, "api", function=HERE) == []


def test_who_names_an_alias_leads_that_alias_s_callers_only() -> None:
    found = fronts()
    led = take_over(found, "api", running(written="scores:prod"), function=HERE, alias="live")
    assert [item.id for item in led] == ["a", "b"]
    other = fronts()
    with pytest.raises(NotDeployedError, match="leads to `scores:beta`"):
        take_over(other, "api", running(written="scores:beta"), function=HERE, alias="live")
    assert other.integrations("api") == fronts().integrations("api")


@pytest.mark.parametrize(
    ("routes", "form", "plain"),
    [
        (("POST /predict",), "2.0", None),
        (("POST /v2/models/words/infer",), "2.0", None),
        ((), "1.0", None),
        ((), "2.0", Plain("rows", "scores")),
    ],
    ids=["another path", "another model", "older events", "another language"],
)
def test_callers_who_would_not_be_answered_are_left_where_they_are(
    routes: tuple[str, ...], form: str, plain: Plain | None
) -> None:
    found = fronts(*routes, form=form)
    before = found.integrations("api")
    with pytest.raises(ReleaseError, match="could not be answered by this stage"):
        take_over(found, "api", running(plain=plain), function=HERE, alias="live")
    assert found.integrations("api") == before


def test_an_api_that_leads_elsewhere_is_named() -> None:
    with pytest.raises(NotDeployedError, match="no route of the API `api` leads to `others`"):
        take_over(
            fronts(),
            "api",
            RunningFunction(MemoryFunctions(sums), "others", "digits"),
            function=HERE,
            alias="a",
        )


def test_an_endpoint_s_own_answers_become_the_golden_sample_if_it_speaks_the_protocol() -> None:
    def container(body: bytes) -> bytes:
        assert [item["name"] for item in json.loads(body)["inputs"]] == ["x"]
        return json.dumps(
            {"outputs": [{"name": "y", "datatype": "FP32", "shape": [2], "data": [3, 7]}]}
        ).encode()

    endpoint = RunningEndpoint("theirs", MemoryAskedEndpoint("theirs", container))
    assert own_answers(endpoint, GOLDEN).outputs[0].data == (3, 7)
    assert endpoint.facts == {ADOPTED: "sagemaker:theirs", "adopted_code": "theirs-config"}
    rude = RunningEndpoint("theirs", MemoryAskedEndpoint("theirs", lambda _: b"3,7"))
    with pytest.raises(UnfitVersionError, match="`theirs` does not answer in the protocol"):
        own_answers(rude, GOLDEN)
