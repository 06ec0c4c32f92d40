"""One model, every way to ask it, on a real deploy: large payloads, plain invocations, queued messages."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from onnx import TensorProto, helper
from tritonclient.utils import InferenceServerException

from drift.captured import Together
from examples.digits.steps import WORDS, build
from local_cloud.deploy import deploy
from model_store.contract import parquet
from switchyard_client import AccessDeniedError, Bearer, Client, Credentials, Iam, TooLargeError, files
from tests.conftest import ROOT, Deployed
from tests.end_to_end.issuer import Issuer, serving
from tests.end_to_end.proxies import yard_proxy
from tests.unit import pictures, text_graphs

pytestmark = pytest.mark.cloud

FUNCTION = "switchyard-local-echo"
TWENTY_MB = 20 * 1024 * 1024

CATALOG_BESIDES = """
[models.echo.capture]
rate = 1
rows_per_hour = 100000
"""


def model() -> bytes:
    """``x`` [n, 1024] to ``y``, twice ``x``."""
    shape: list[str | int | None] = ["n", 1024]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "echo",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(made.SerializeToString())


@pytest.fixture(scope="module", autouse=True)
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """Whose tokens the last test's API takes; the cloud has to trust its certificate from the start."""
    certificate: Path = tmp_path_factory.mktemp("issuer") / "certificate.pem"
    with serving(certificate) as made, pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", str(certificate))
        yield made


@pytest.fixture(scope="module")
def echo(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The deployment with ``echo:1`` live."""
    path: Path = tmp_path_factory.mktemp("echo") / "model.onnx"
    path.write_bytes(model())
    deployed.yard_json("publish", "echo", str(path))
    deployed.yard_json("release", "echo:1")
    return deployed


@pytest.fixture(scope="module")
def client(echo: Deployed) -> Iterator[Client]:
    with Client(echo.api_url) as made:
        yield made


def aws(echo: Deployed, service: str) -> Any:
    session: Any = boto3.session.Session(
        aws_access_key_id="test", aws_secret_access_key="test", region_name=echo.cloud.region
    )
    return session.client(service, endpoint_url=echo.cloud.endpoint_url)


def test_a_request_that_fits_is_binary_and_one_request(client: Client) -> None:
    x = np.random.default_rng(1).random((100, 1024), np.float32)
    result = client.infer("echo", {"x": x})
    assert np.array_equal(result["y"], x * 2)
    assert (result.model, result.version) == ("echo", "1")


def test_twenty_megabytes_go_in_and_come_back(client: Client) -> None:
    x = np.random.default_rng(2).random((TWENTY_MB // 4096, 1024), np.float32)
    assert x.nbytes == TWENTY_MB
    result = client.infer("echo", {"x": x})
    assert np.array_equal(result["y"], x * 2)
    assert result.digest is not None


def test_yard_invoke_hands_off_by_itself_both_ways(echo: Deployed, tmp_path: Path) -> None:
    rows = 6_500_000 // 4096
    x = {"name": "x", "datatype": "FP32", "shape": [rows, 1024], "data": [1.5] * (rows * 1024)}
    (tmp_path / "request.json").write_text(json.dumps({"inputs": [x]}))
    assert (tmp_path / "request.json").stat().st_size > 6_291_456
    said = echo.yard_json("invoke", "echo", "--data", str(tmp_path / "request.json"))
    assert said["outputs"][0]["shape"] == [rows, 1024]
    assert set(said["outputs"][0]["data"]) == {3.0}


def test_five_megabytes_of_binary_are_too_many_for_lambda_alone(client: Client) -> None:
    """What goes through the hand-off would be refused without it."""
    metadata = client.metadata("echo")
    assert metadata.parameters["max_binary_bytes"] < 5_000_000 < metadata.parameters["handoff_max_bytes"]
    too_many = metadata.parameters["handoff_max_bytes"]
    with pytest.raises(TooLargeError, match="is announced, and at most"):
        client.infer("echo", {"x": np.zeros((too_many // 4096, 1024), np.float32)})


def test_an_address_takes_only_what_was_announced_for_it(echo: Deployed) -> None:
    path = f"{echo.api_url}/v2/models/echo/uploads"
    told = httpx.post(path, json={"bytes": 5}, timeout=35).json()
    refused = httpx.put(told["url"], content=b"123456", timeout=35)
    assert refused.status_code == 403, refused.text
    assert httpx.put(told["url"], content=b"12345", headers=told["headers"], timeout=35).status_code == 200
    other = told["url"].replace(told["input_ref"], "x" * 43)
    assert httpx.put(other, content=b"12345", timeout=35).status_code == 403


def test_a_model_that_hands_nothing_off_has_no_uploads(echo: Deployed) -> None:
    answer = httpx.post(f"{echo.api_url}/v2/models/digits/uploads", json={"bytes": 5}, timeout=35)
    assert answer.status_code == 404


def test_an_unsigning_client_calls_through_yard_proxy_until_ctrl_c(echo: Deployed) -> None:
    with yard_proxy(echo) as (place, log), Client(place["url"]) as client:
        x = np.ones((100, 1024), np.float32)
        assert np.array_equal(client.infer("echo", {"x": x})["y"], x * 2)
    assert (place["api_url"], place["auth"]) == (echo.api_url, "none")
    assert any(line.startswith("POST /v2/models/echo/infer 200 in") for line in log)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{place['url']}/v2", timeout=5)


def test_a_plain_invocation_is_answered_plainly(echo: Deployed) -> None:
    x = {"name": "x", "datatype": "FP32", "shape": [1, 1024], "data": [1.0] * 1024}
    invoke = aws(echo, "lambda").invoke

    def asked(event: dict[str, Any]) -> Any:
        answer = invoke(FunctionName=FUNCTION, Qualifier="live", Payload=json.dumps(event).encode())
        assert "FunctionError" not in answer
        return json.loads(answer["Payload"].read())

    assert asked({"id": "seven", "inputs": [x]})["outputs"][0]["data"][:2] == [2.0, 2.0]
    assert asked({"inputs": []})["status"] == 400


def outputs_of(echo: Deployed) -> dict[str, str]:
    """What the model's stack says of itself."""
    found = aws(echo, "cloudformation").describe_stacks(StackName="Switchyard-local-Model-echo")
    return {output["OutputKey"]: output["OutputValue"] for output in found["Stacks"][0]["Outputs"]}


def test_an_object_in_the_inbox_is_answered_under_the_same_name(echo: Deployed) -> None:
    outputs = outputs_of(echo)
    s3 = aws(echo, "s3")
    bucket, _, requests = outputs["InboxRequests"].removeprefix("s3://").partition("/")
    answers = outputs["InboxAnswers"].removeprefix(f"s3://{bucket}/")
    x = np.random.default_rng(3).random((2_000, 1024), np.float32)  # 8 MB: more than Lambda carries
    tensor = {"name": "x", "datatype": "FP32", "shape": list(x.shape)}
    head = json.dumps(
        {
            "inputs": [{**tensor, "parameters": {"binary_data_size": x.nbytes}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    told = {"inference-header-content-length": str(len(head))}
    s3.put_object(Bucket=bucket, Key=f"{requests}a b+c.bin", Body=head + x.tobytes(), Metadata=told)
    s3.put_object(Bucket=bucket, Key=f"{requests}wrong.json", Body=b"not json")
    s3.put_object(Bucket=bucket, Key="requests/digits/other.json", Body=b"{}")
    found: dict[str, Any] = {}
    until = time.monotonic() + 60
    while len(found) < 2 and time.monotonic() < until:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="answers/").get("Contents", [])
        found = {item["Key"].removeprefix(answers): item["Key"] for item in listed}
        time.sleep(0.2)
    assert set(found) == {"a b+c.bin", "wrong.json"}, "another model's objects are not this model's"
    answer = s3.get_object(Bucket=bucket, Key=found["a b+c.bin"])
    length = int(answer["Metadata"]["inference-header-content-length"])
    body = answer["Body"].read()
    assert json.loads(body[:length])["model_name"] == "echo"
    assert np.array_equal(np.frombuffer(body[length:], np.float32).reshape(x.shape), x * 2)
    wrong = json.loads(s3.get_object(Bucket=bucket, Key=found["wrong.json"])["Body"].read())
    assert (wrong["status"], "not JSON" in wrong["error"]) == (400, True)


def test_messages_are_answered_in_the_other_queue(echo: Deployed) -> None:
    outputs = outputs_of(echo)
    sqs = aws(echo, "sqs")
    x = {"name": "x", "datatype": "FP32", "shape": [1, 1024], "data": [1.0] * 1024}
    sent = {
        sqs.send_message(QueueUrl=outputs["RequestQueue"], MessageBody=body)["MessageId"]: status
        for body, status in ((json.dumps({"id": "queued", "inputs": [x]}), None), ("not json", 400))
    }
    answers: dict[str, Any] = {}
    until = time.monotonic() + 30
    while len(answers) < 2 and time.monotonic() < until:
        received = sqs.receive_message(
            QueueUrl=outputs["AnswerQueue"],
            MessageAttributeNames=["All"],
            MaxNumberOfMessages=10,
            WaitTimeSeconds=1,
        )
        for message in received.get("Messages", []):
            name = message["MessageAttributes"]["switchyard-request"]["StringValue"]
            answers[name] = json.loads(message["Body"])
    assert {name: answer.get("status") for name, answer in answers.items()} == sent
    assert any("outputs" in answer for answer in answers.values())


def test_whatever_came_in_by_any_way_is_kept(echo: Deployed) -> None:
    """ADR 52: what the tests above sent; of twenty megabytes some rows, of a mistake nothing."""
    s3 = aws(echo, "s3")
    bucket = aws(echo, "ssm").get_parameter(Name="/switchyard/local/capture-bucket")["Parameter"]["Value"]
    x, name = np.random.default_rng(2).random((TWENTY_MB // 4096, 1024), np.float32), "echo/a b+c.bin"
    until = time.monotonic() + 90
    while True:
        together = Together()
        for item in s3.list_objects_v2(Bucket=bucket, Prefix="captured/echo/000000001/").get("Contents", []):
            columns, _ = parquet.read(s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read())
            together.add({column.name: values for column, values in columns.items()}, 0, sys.maxsize)
        cells = together.columns()
        by_id = {row.id: place for place, row in enumerate(together.rows)}
        sent = [place for place, row in enumerate(together.rows) if row.row == len(x) * 63 // 64]
        messages = [row for row in together.rows if row.id == "queued"]
        if {"seven", name, "queued"} <= by_id.keys() and sent:
            break
        assert time.monotonic() < until, (by_id, together.rows[-3:])
        time.sleep(0.5)
    assert cells["input.x"][by_id["seven"]] == [1.0] * 1024
    assert cells["output.y"][by_id[name]][:1] == [2 * cells["input.x"][by_id[name]][0]]
    assert len(messages) == 1
    assert any(np.array_equal(cells["input.x"][place], x[len(x) * 63 // 64]) for place in sent)
    assert {row.alias for row in together.rows} <= {"live", ""}
    assert {len(cell) for side in cells.values() for cell in side} == {1024}


def test_no_payload_key_or_token_is_in_any_log(echo: Deployed) -> None:
    """What callers send and how they sign it: planted by every way in, and looked for in every log there is."""
    planted = f"planted{uuid.uuid4().hex}"
    x = {"name": "x", "datatype": "FP32", "shape": [1, 1024], "data": [1.0] * 1024}
    url = f"{echo.api_url}/v2/models/echo/infer"
    headers = {"authorization": f"Bearer {planted}", "x-api-key": planted, "cookie": planted}
    bodies = (
        json.dumps({"id": planted, "inputs": [x], "parameters": {planted: planted}}),
        json.dumps({"inputs": [{**x, "name": planted}]}),
        json.dumps({"inputs": [{**x, "datatype": "BYTES", "data": [planted] * 1024}]}),
        json.dumps({"inputs": [{**x, "data": [planted]}]}),
        f"{{{planted}",
    )
    statuses = [
        httpx.post(url, content=body, headers=headers, params={"key": planted}, timeout=35).status_code
        for body in bodies
    ]
    assert statuses == [200, 400, 400, 400, 400]
    for body in bodies[:-1]:
        aws(echo, "lambda").invoke(FunctionName=FUNCTION, Qualifier="live", Payload=body.encode())
    outputs = outputs_of(echo)
    sqs, s3 = aws(echo, "sqs"), aws(echo, "s3")
    sqs.send_message(QueueUrl=outputs["RequestQueue"], MessageBody=bodies[-1])
    bucket, _, requests = outputs["InboxRequests"].removeprefix("s3://").partition("/")
    s3.put_object(Bucket=bucket, Key=f"{requests}secret.json", Body=bodies[1].encode())

    logs = aws(echo, "logs")

    def written() -> dict[str, list[str]]:
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        return {
            group: [
                event["message"]
                for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group)
                for event in page["events"]
            ]
            for group in groups
        }

    access = "/aws/vendedlogs/switchyard/local/api"
    until = time.monotonic() + 60
    while True:
        found = written()
        of_model = found[f"/aws/lambda/{FUNCTION}"]
        doors = {json.loads(line).get("method", "") for line in of_model if line.startswith("{")}
        refused = [line for line in found[access] if json.loads(line)["status"] == "400"]
        if len(refused) >= 4 and {"POST", "S3", "SQS"} <= doors:
            break
        assert time.monotonic() < until, (doors, found[access][-5:])
        time.sleep(0.2)
    assert [line for lines in found.values() for line in lines if planted in line] == []


def test_what_an_answer_hangs_on_can_be_asked_where_the_catalog_says_so(
    echo: Deployed, client: Client
) -> None:
    """``y`` is twice ``x``: to one value of ``y`` only its own value of ``x`` is worth anything."""
    x = np.linspace(1, 2, 1024, dtype=np.float32).reshape(1, 1024)
    found = client.explain("echo", {"x": x}, target=7, window=4)
    worth = found["x"].reshape(-1)
    assert worth[4:8] == pytest.approx(2 * x[0, 7], rel=1e-5)
    assert not worth[:4].any()
    assert not worth[8:].any()
    assert found.parameters["runs"] == 1 + 256
    assert client.metadata("echo").parameters["explain_max_parts"] == 256
    refused = httpx.post(f"{echo.api_url}/v2/models/spare/explain", json={"inputs": []}, timeout=30)
    assert refused.status_code in (404, 503), "a model whose catalog says nothing explains nothing"


def test_pictures_go_in_and_words_come_out(echo: Deployed, client: Client, tmp_path: Path) -> None:
    """Steps around a model are part of its version: the last test here, because it changes what is live."""
    published = echo.yard_json("publish", "echo", str(build(tmp_path / "digits")))
    echo.yard_json("release", f"echo:{published['version']}")
    with np.load(ROOT / "examples" / "digits" / "held_out.npz") as file:
        images, label = file["image"], file["label"]
    pixels = np.rint(images * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    result = client.infer("echo", {"pixels": pixels})
    words = result.text("digit").tolist()
    assert result.version == str(published["version"])
    assert np.mean([WORDS.index(word) for word in words] == label) > 0.9


def test_behind_iam_a_caller_s_payloads_are_their_own(echo: Deployed) -> None:
    """The same deployment with ``auth = "iam"``: signed by the client, by the proxy, or not at all."""
    open_to_all = echo.catalog.read_text()
    echo.catalog.write_text(open_to_all.replace('auth = "none"', 'auth = "iam"'))
    try:
        deploy(echo.cloud, root=ROOT, catalog=echo.catalog, on_progress=echo.said.append)
        signed = Iam(Credentials("test", "test"), region=echo.cloud.region)
        pixels = np.zeros((5_200_000 // 64, 8, 8), np.uint8)  # 5.2 MB: through S3
        with Client(echo.api_url, auth=signed) as client:
            assert client.infer("echo", {"pixels": pixels})["digit"].shape == (len(pixels),)
        listed = aws(echo, "s3").list_objects_v2(Bucket=handoff_bucket(echo))["Contents"]
        callers = {item["Key"].split("/")[1] for item in listed}
        assert len(callers) == 2, "anybody's before, and now one caller's own"
        with Client(echo.api_url) as client, pytest.raises(AccessDeniedError):
            client.infer("echo", {"pixels": pixels[:1]})
        with yard_proxy(echo) as (place, _):
            assert place["auth"] == "iam"
            assert asked_by_tritonclient(place["url"], pixels[:2]) == (2,)
    finally:
        echo.catalog.write_text(open_to_all)


def text_artifact(folder: Path) -> Path:
    """A sentence to a word, by a tokeniser that the plain runtime layer does not have."""
    folder.mkdir()
    for name, data in text_graphs.files().items():
        (folder / name).write_bytes(data)
    return folder


def test_a_graph_that_the_layer_has_no_operators_for_is_not_released(echo: Deployed, tmp_path: Path) -> None:
    """Law 8; the deploy of the next test brings the layer."""
    published = echo.yard_json("publish", "echo", str(text_artifact(tmp_path / "text")))
    refused = echo.yard("release", f"echo:{published['version']}")
    assert refused.returncode == 1
    assert b"the runtime layer of `echo` has none of them" in refused.stderr
    assert b'runtime = "text"' in refused.stderr


def test_files_of_pictures_wait_for_the_layer_that_reads_them(echo: Deployed, tmp_path: Path) -> None:
    """Law 8; the deploy of the next test brings that layer, too."""
    published = echo.yard_json("publish", "digits", str(build(tmp_path / "digits", files=True)))
    refused = echo.yard("release", f"digits:{published['version']}")
    assert refused.returncode == 1
    assert b"the runtime layer of `digits` cannot read them" in refused.stderr
    assert b'runtime = "image"' in refused.stderr


def test_behind_a_jwt_authorizer_an_unmodified_client_needs_a_token_and_nothing_else(
    echo: Deployed,
    issuer: Issuer,
    text_layer: Path,
    image_layer: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law 7; the last deploy of this story, because it shuts the others out. It brings two layers, too."""
    assert text_layer.is_dir()
    assert image_layer.is_dir()
    tokens = f'auth = "jwt"\njwt = {{ issuer = "{issuer.url}", audience = ["models"], scopes = ["infer"] }}'
    catalog = echo.catalog.read_text().replace('auth = "none"', tokens)
    catalog = catalog.replace("inbox = true", 'inbox = true\nruntime = "text"')
    echo.catalog.write_text(catalog.replace("[models.digits]", '[models.digits]\nruntime = "image"'))
    deploy(echo.cloud, root=ROOT, catalog=echo.catalog, on_progress=echo.said.append)
    pixels = np.zeros((2, 8, 8), np.uint8)
    token = issuer.token(scope="infer")
    assert asked_by_tritonclient(echo.api_url, pixels, {"Authorization": f"Bearer {token}"}) == (2,)
    for headers, status in (
        ({}, "401"),
        ({"Authorization": f"Bearer {issuer.token(scope='infer', exp=1)}"}, "401"),
        ({"Authorization": f"Bearer {issuer.token()}"}, "403"),
    ):
        with pytest.raises(InferenceServerException) as caught:
            asked_by_tritonclient(echo.api_url, pixels, headers)
        assert status in str(caught.value.status())
    refused = httpx.post(f"{echo.api_url}/v2/models/echo/infer", json={}, timeout=35)
    assert (refused.status_code, refused.json()) == (401, {"message": "Unauthorized"})
    with Client(echo.api_url, auth=Bearer(token)) as client:
        large = np.zeros((5_200_000 // 64, 8, 8), np.uint8)
        assert client.infer("echo", {"pixels": large})["digit"].shape == (len(large),)
    with Client(echo.api_url) as client, pytest.raises(AccessDeniedError):
        client.infer("echo", {"pixels": pixels})
    for name in ("SWITCHYARD_TOKEN", "SWITCHYARD_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    untold = echo.yard("invoke", "echo")
    assert (untold.returncode, b"this call has no token" in untold.stderr) == (1, True)
    (tmp_path / "token").write_text(token)
    assert echo.yard_json("invoke", "echo", "--token-file", str(tmp_path / "token"))["model_name"] == "echo"
    with yard_proxy(echo, {"SWITCHYARD_TOKEN": token}) as (place, _):
        assert place["auth"] == "jwt"
        assert asked_by_tritonclient(place["url"], pixels) == (2,)


def test_a_sentence_goes_in_and_a_word_comes_out(echo: Deployed, issuer: Issuer) -> None:
    """ADR 27: the version that was refused before goes live on the layer with the operators."""
    newest = max(echo.yard_json("versions", "echo"), key=lambda found: int(found["version"]))["version"]
    echo.yard_json("release", f"echo:{newest}")
    with Client(echo.api_url, auth=Bearer(issuer.token(scope="infer"))) as client:
        for sentence, word in (("Good movies, good", "good"), ("a bad movie", "bad")):
            result = client.infer("echo", {"text": np.array([sentence])})
            assert (result.text("verdict").tolist(), result.version) == ([word], str(newest))


def test_the_file_of_a_picture_goes_in_and_a_word_comes_out(
    echo: Deployed, issuer: Issuer, tmp_path: Path
) -> None:
    """ADR 64: as binary data, as a body of its own, from the project's client and from the command line."""
    newest = max(echo.yard_json("versions", "digits"), key=lambda found: int(found["version"]))["version"]
    echo.yard_json("release", f"digits:{newest}")
    token = issuer.token(scope="infer")
    bearer = {"Authorization": f"Bearer {token}"}
    three, zero = pictures.digit(3), pictures.digit(0, "JPEG")
    client = triton.InferenceServerClient(echo.api_url.removeprefix("http://"), network_timeout=35)
    tensor = triton.InferInput("file", [2], "BYTES")
    tensor.set_data_from_numpy(files(three, zero))
    try:
        answer = client.infer("digits", [tensor], headers=dict(bearer)).as_numpy("digit")
        assert answer is not None
        assert answer.tolist() == [b"three", b"zero"]
    finally:
        client.close()
    infer = f"{echo.api_url}/v2/models/digits/infer"
    alone = {"content-type": "image/jpeg", "inference-header-content-length": "0", **bearer}
    outputs = httpx.post(infer, content=zero, headers=alone, timeout=35).json()["outputs"]
    assert [output["data"] for output in outputs if output["name"] == "digit"] == [["zero"]]
    odd = httpx.post(infer, content=zero[:100], headers=alone, timeout=35)
    assert (odd.status_code, odd.json()["error"].partition(":")[0]) == (400, "picture 0 cannot be read")
    with Client(echo.api_url, auth=Bearer(token)) as ours:
        assert ours.infer("digits", {"file": files(zero, three)}).text("digit").tolist() == ["zero", "three"]
    (tmp_path / "token").write_text(token)
    (tmp_path / "three.png").write_bytes(three)
    with_token = ("--token-file", str(tmp_path / "token"))
    said = echo.yard_json("invoke", "digits", "--data", str(tmp_path / "three.png"), *with_token)
    assert {"name": "digit", "datatype": "BYTES", "shape": [1], "data": ["three"]} in said["outputs"]


def asked_by_tritonclient(url: str, pixels: Any, headers: dict[str, str] | None = None) -> tuple[int, ...]:
    """An unmodified client, which signs nothing. Law 7."""
    client = triton.InferenceServerClient(url.removeprefix("http://"), network_timeout=35)
    try:
        tensor = triton.InferInput("pixels", list(pixels.shape), "UINT8")
        tensor.set_data_from_numpy(pixels)
        answer = client.infer("echo", [tensor], headers=headers).as_numpy("digit")
        assert answer is not None
        return tuple(answer.shape)
    finally:
        client.close()


def handoff_bucket(echo: Deployed) -> str:
    name = "/switchyard/local/handoff-bucket"
    return str(aws(echo, "ssm").get_parameter(Name=name)["Parameter"]["Value"])
