"""The whole road on a real deploy: publish, release, invoke, roll back, deploy again.

One story in order, on the session's deployment: each test begins where the one before it ended.
"""

from __future__ import annotations

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import numpy as np
import pytest

from examples.demo.load import Images, Load, accuracy
from local_cloud.errors import LocalCloudError
from tests.conftest import ROOT, Deployed
from tests.end_to_end.walks import assert_in_order, walk

pytestmark = pytest.mark.cloud

DIGITS = ROOT / "examples" / "digits"
METRICS = json.loads((DIGITS / "metrics.json").read_text())["versions"]


@pytest.fixture(scope="module")
def images() -> Images:
    with np.load(DIGITS / "held_out.npz") as file:
        return Images(file["image"].astype(np.float32), file["label"].astype(np.int64))


@pytest.fixture(scope="module")
def url(deployed: Deployed) -> str:
    return f"{deployed.api_url}/v2/models/digits"


def infer(url: str, images: Images, index: int = 0) -> httpx.Response:
    return httpx.post(f"{url}/infer", json=images.request(index), timeout=35)


def live(deployed: Deployed) -> dict[str, object]:
    found: dict[str, object] = deployed.yard_json("status", "digits")["aliases"][0]
    return found


def client(deployed: Deployed, service: str) -> Any:
    """AWS's own interface, past ``yard``."""
    session = boto3.session.Session(
        aws_access_key_id="test", aws_secret_access_key="test", region_name=deployed.cloud.region
    )
    return session.client(service, endpoint_url=deployed.cloud.endpoint_url)  # type: ignore[call-overload]


def test_before_the_first_release_callers_hear_that_nothing_is_released(url: str, images: Images) -> None:
    answer = infer(url, images)
    assert (answer.status_code, answer.json()) == (503, {"error": "no version of digits is released yet"})
    assert httpx.get(f"{url}/ready", timeout=35).status_code == 503


def test_a_rollback_before_the_first_release_is_refused(deployed: Deployed) -> None:
    done = deployed.yard("rollback", "digits")
    assert done.returncode == 1
    assert b"has not been released yet" in done.stderr
    assert b"hint: Release a version" in done.stderr


def test_publishing_gives_numbers_and_the_same_bytes_are_the_same_version(deployed: Deployed) -> None:
    """Law 1."""
    for version in ("1", "2"):
        path = str(DIGITS / f"v{version}" / "model.onnx")
        published = deployed.yard_json("publish", "digits", path, "--metric", "accuracy=0.9")
        assert (published["version"], published["created"]) == (int(version), True)
    again = deployed.yard_json("publish", "digits", str(DIGITS / "v1" / "model.onnx"))
    assert (again["version"], again["created"]) == (1, False)
    listed = deployed.yard_json("versions", "digits")
    assert [item["version"] for item in listed] == [2, 1]


def test_a_release_serves_the_accuracy_that_was_recorded(
    deployed: Deployed, url: str, images: Images
) -> None:
    released = deployed.yard_json("release", "digits:1", "--reason", "first")
    assert (released["version"], released["moved"], released["line"]["line"]) == (1, True, 1)
    assert accuracy(f"{url}/infer", images) == METRICS["1"]["accuracy"]


def test_every_answer_names_the_version_and_the_digest(deployed: Deployed, url: str, images: Images) -> None:
    """Law 2."""
    (digest,) = [item["digest"] for item in deployed.yard_json("versions", "digits") if item["version"] == 1]
    answer = infer(url, images)
    assert answer.json()["model_version"] == "1"
    assert answer.headers["x-switchyard-model"] == "digits:1"
    assert answer.headers["x-switchyard-digest"] == digest
    metadata = httpx.get(url, timeout=35).json()
    assert (metadata["name"], metadata["versions"]) == ("digits", ["1"])


def test_the_protocol_routes_answer(deployed: Deployed, url: str) -> None:
    """Law 7."""
    api = deployed.api_url
    assert httpx.get(f"{api}/v2", timeout=35).json()["name"] == "switchyard"
    assert httpx.get(f"{api}/v2/health/live", timeout=35).status_code == 200
    assert httpx.get(f"{url}/ready", timeout=35).status_code == 200
    assert httpx.get(f"{url}/versions/1/ready", timeout=35).status_code == 200
    # The second model is declared and not released: the server as a whole is not ready, and says why.
    ready = httpx.get(f"{api}/v2/health/ready", timeout=35)
    assert ready.status_code == 503
    assert "spare" in ready.text


def test_a_release_and_a_rollback_under_load_lose_no_request(
    deployed: Deployed, url: str, images: Images
) -> None:
    """Law 6: no failed request, and every answer's version is true: it predicts what that version predicts."""
    with Load(f"{url}/infer", images) as load:
        deployed.yard_json("release", "digits:2", "--reason", "better")
        rolled = deployed.yard_json("rollback", "digits", "--reason", "a drill")
        returned = load.answers[-1].at
    assert (rolled["version"], rolled["line"]["kind"]) == (1, "rollback")
    assert {answer.status for answer in load.answers} == {200}
    assert {answer.version for answer in load.answers} == {"1", "2"}
    # A request that was under way when the rollback returned may still be answered by version 2.
    assert all(answer.version == "1" for answer in load.answers if answer.at > returned + 0.5)
    assert infer(url, images).json()["model_version"] == "1"


def settled(deployed: Deployed) -> dict[str, Any]:
    """A model's numbers once the last line of its log has arrived: when two readings say the same."""
    before, end = -1, time.monotonic() + 60
    while True:
        found: dict[str, Any] = deployed.yard_json("metrics", "digits", "--since", "1h")
        if found["all"]["requests"] == before:
            return found
        assert time.monotonic() < end
        before = found["all"]["requests"]


def test_what_happened_is_seen_from_the_terminal(deployed: Deployed, url: str) -> None:
    """Law 11: each version has its own numbers, and nobody else's."""
    found = settled(deployed)
    by_version = {one["version"]: one for one in found["versions"]}
    assert set(by_version) == {1, 2}
    for one in by_version.values():
        assert one["requests"] > 0
        assert one["faults"] == 0
        assert 0 < one["latency"]["p50"] <= one["latency"]["p95"] <= one["latency"]["p99"]
        assert 0 < one["model_latency"]["p50"] < one["latency"]["p99"]
        assert one["cold_starts"] >= 1
        assert one["payload_bytes"] > one["rows"] > 0
        assert sum(moment["requests"] for moment in one["series"]) == one["requests"]
    assert found["all"]["requests"] == sum(one["requests"] for one in by_version.values())
    (serves, before) = deployed.yard_json("top", "--over", "1h")["rows"]
    assert (serves["version"], serves["shares"]) == (1, [{"alias": "live", "share": 1.0}])
    assert (before["version"], before["shares"], before["requests"]) == (2, [], by_version[2]["requests"])
    shown = deployed.yard("top", "--once").stdout.decode()
    assert "live" in shown
    assert "\x1b" not in shown
    cost = deployed.yard_json("cost", "digits", "--since", "1h")["models"][0]
    assert cost["requests"] == found["all"]["requests"]
    assert {"Lambda requests", "Lambda duration", "API", "log", "metrics"} <= {
        i["what"] for i in cost["items"]
    }
    assert cost["dollars"] > 0


def test_the_log_tells_of_every_request_and_nothing_of_what_was_in_it(
    deployed: Deployed, url: str, images: Images
) -> None:
    """No payload in logs: neither of what was answered, nor of what could not be read."""
    planted, number = "planted-7f3a", 0.73217321
    request: Any = images.request(0)
    request["inputs"][0]["data"][0] = number
    assert httpx.post(f"{url}/infer", json={**request, "id": planted}, timeout=35).status_code == 200
    assert httpx.post(f"{url}/infer", content=f'{{"inputs": "{planted}', timeout=35).status_code == 400
    wrong = {"inputs": [{**request["inputs"][0], "name": planted}]}
    assert httpx.post(f"{url}/infer", json=wrong, headers={"x-who": planted}, timeout=35).status_code == 400
    settled(deployed)
    done = deployed.yard("logs", "digits", "--json", "--last", "5000")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    statuses = [one["line"]["status"] for one in lines if "status" in one.get("line", {})]
    assert statuses.count(400) == 2
    # Before the first release there was no version to answer.
    assert {one["model_version"] for one in lines} == {1, 2, None}
    # A release asks the version itself before it is anybody's.
    assert {one["line"].get("alias") for one in lines if "line" in one} == {"live", None}
    slowest = deployed.yard("logs", "digits", "--json", "--slowest", "3").stdout.splitlines()
    latencies = [json.loads(line)["line"]["Latency"] for line in slowest]
    assert latencies == sorted(latencies, reverse=True)
    assert latencies[0] == max(one["line"].get("Latency", 0) for one in lines if "line" in one)
    logs = client(deployed, "logs")
    written = [
        event["message"]
        for group in logs.describe_log_groups()["logGroups"]
        for event in logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
    ]
    assert len(written) > len(lines)
    assert not [line for line in written if planted in line or str(number) in line]


def test_the_queries_that_the_stack_keeps_find_what_they_are_named_after(deployed: Deployed) -> None:
    logs, now = client(deployed, "logs"), int(time.time())
    kept = logs.describe_query_definitions(queryDefinitionNamePrefix="switchyard/local/digits/")
    rows = {}
    for one in kept["queryDefinitions"]:
        begun = logs.start_query(
            logGroupNames=one["logGroupNames"],
            startTime=now - 3600,
            endTime=now + 1,
            queryString=one["queryString"],
        )
        results = logs.get_query_results(queryId=begun["queryId"])["results"]
        rows[one["name"].rpartition("/")[2]] = [
            {cell["field"]: cell["value"] for cell in row} for row in results
        ]
    assert set(rows) == {"errors by version", "slowest requests", "cold starts"}
    assert rows["errors by version"] == []
    assert len(rows["slowest requests"]) == 50
    assert {row["version"] for row in rows["cold starts"]} == {"1", "2"}


def test_a_version_that_is_not_served_is_a_404_that_names_the_one_that_is(url: str, images: Images) -> None:
    answer = httpx.post(f"{url}/versions/2/infer", json=images.request(0), timeout=35)
    assert answer.status_code == 404
    assert "version 1 is" in answer.json()["error"]


def test_a_deploy_with_another_memory_size_keeps_the_rollback(
    deployed: Deployed, url: str, images: Images
) -> None:
    """Law 4: no later ``cdk deploy`` undoes a rollback; the live version stands on the new configuration."""
    deployed.deploy(memory_mb=768)
    now = live(deployed)
    assert (now["version"], now["memory_mb"], now["on_current_base"]) == (1, 768, True)
    assert now["disagreements"] == []
    assert infer(url, images).json()["model_version"] == "1"
    kinds = [line["kind"] for line in deployed.yard_json("history", "digits")]
    assert kinds == ["release", "release", "rollback", "rebase"]


def test_a_deploy_that_changes_nothing_moves_nothing(deployed: Deployed) -> None:
    """Law 4."""
    before = live(deployed)
    deployed.deploy(memory_mb=768)
    assert live(deployed) == before


def test_two_rollbacks_go_back_two_steps(deployed: Deployed, tmp_path: Path) -> None:
    """Law 6, on versions that deploys prepared on the new base."""
    third = tmp_path / "model.onnx"
    third.write_bytes((DIGITS / "v2" / "model.onnx").read_bytes())
    assert deployed.yard_json("publish", "digits", str(third), "--new")["version"] == 3
    deployed.yard_json("release", "digits:2")
    deployed.yard_json("release", "digits:3")
    assert [deployed.yard_json("rollback", "digits")["version"] for _ in range(2)] == [2, 1]
    refused = deployed.yard("rollback", "digits")
    assert (refused.returncode, b"no earlier release" in refused.stderr) == (1, True)
    assert live(deployed)["version"] == 1


def test_of_releases_at_once_the_losers_say_so_and_the_ledger_is_whole(deployed: Deployed) -> None:
    """Law 3: every command either moved the alias or exited 1; the ledger has exactly the moves."""
    before = len(deployed.yard_json("history", "digits"))
    start = threading.Barrier(4)

    def release(version: int) -> int:
        start.wait()
        return deployed.yard("release", f"digits:{version}").returncode

    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(release, [2, 3, 2, 3]))
    assert set(codes) <= {0, 1}
    assert 0 in codes
    lines = deployed.yard_json("history", "digits")
    assert [line["line"] for line in lines] == list(range(1, len(lines) + 1))
    assert before < len(lines) <= before + codes.count(0)
    assert live(deployed)["disagreements"] == []
    assert live(deployed)["version"] == lines[-1]["version"]


def test_an_alias_moved_by_hand_is_named_and_put_back(deployed: Deployed, url: str, images: Images) -> None:
    """Law 3: ``status`` exits 1 and names the disagreement; ``rollback`` returns to the ledger."""
    now = live(deployed)
    function = client(deployed, "lambda")
    name = "switchyard-local-digits"
    other = next(
        line["lambda_version"]
        for line in deployed.yard_json("history", "digits")
        if line["version"] == 1 and line["kind"] == "rebase"
    )
    function.update_alias(FunctionName=name, Name="live", FunctionVersion=other)
    status = deployed.yard("status", "digits")
    assert status.returncode == 1
    assert b"moved past the ledger" in status.stderr
    assert deployed.yard_json("rollback", "digits")["version"] == now["version"]
    assert infer(url, images).json()["model_version"] == str(now["version"])
    assert deployed.yard("status", "digits").returncode == 0


def test_once_a_day_what_serves_and_the_way_back_are_asked_whether_they_can_answer(
    deployed: Deployed,
) -> None:
    """Law 6. The rule's own event is sent now, so that nobody waits for tomorrow."""
    now = live(deployed)
    (target,) = client(deployed, "events").list_targets_by_rule(Rule="switchyard-local-KeepAwake")["Targets"]
    ran = client(deployed, "lambda").invoke(FunctionName=target["Arn"], Payload=target["Input"].encode())
    assert "FunctionError" not in ran
    (model,) = deployed.yard_json("status", "digits")["models"]
    asked = {item["version"]: item for item in model["awake"]}
    assert {now["version"], now["rollback_to"]} <= asked.keys()
    assert all(item["awake"] and item["seen"] and item["state"] == "Active" for item in asked.values())
    assert b"asked once a day and able to answer: digits:" in deployed.yard("status", "digits").stderr
    assert live(deployed) == now

    def counted() -> list[float]:
        (found,) = client(deployed, "cloudwatch").get_metric_data(
            MetricDataQueries=[
                {
                    "Id": "m",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": "Switchyard/local",
                            "MetricName": "CannotAnswer",
                            "Dimensions": [{"Name": "model", "Value": "digits"}],
                        },
                        "Period": 60,
                        "Stat": "Maximum",
                    },
                }
            ],
            StartTime=datetime.now(UTC) - timedelta(hours=1),
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
        )["MetricDataResults"]
        return list(found["Values"])

    end = time.monotonic() + 60
    while not counted():
        assert time.monotonic() < end, "the daily look was not counted"
        time.sleep(0.2)
    assert set(counted()) == {0.0}


def test_a_deploy_that_forgets_a_live_model_fails_before_it_takes_anything(
    deployed: Deployed, url: str, images: Images
) -> None:
    """Law 10: the guard refuses in its update; what serves goes on serving."""
    deployed.yard_json("publish", "spare", str(DIGITS / "v1" / "model.onnx"))
    deployed.yard_json("release", "spare:1")
    with pytest.raises(LocalCloudError, match="spare@live"):
        deployed.deploy(memory_mb=768, second="other")
    assert infer(f"{deployed.api_url}/v2/models/spare", images).status_code == 200
    assert infer(url, images).status_code == 200
    deployed.deploy(memory_mb=768)
    deployed.yard_json("retire", "spare", "--reason", "replaced")
    assert infer(f"{deployed.api_url}/v2/models/spare", images).status_code == 503
    deployed.deploy(memory_mb=768, second="sentences", explained=True)
    assert infer(f"{deployed.api_url}/v2/models/spare", images).status_code == 404


def test_an_example_s_walk_goes_from_data_to_rollback(deployed: Deployed, tmp_path: Path) -> None:
    """Laws 1, 5 and 6, for a model that is made on the way: the lines of the example's own page."""
    seen = walk(deployed, "digits", tmp_path)
    trained, smaller = deployed.yard_json("versions", "digits")[1::-1]
    assert_in_order(
        seen,
        *("data sha256:", "of torch on 82 rows", "by LiteRT's interpreter"),
        *(f"digits:{trained['version']} is published", "digits.tflite is the LiteRT file", "recipe"),
        *(f"digits@live serves digits:{trained['version']} (", f"from digits:{trained['version']}"),
        *(
            "accuracy",
            f"int8 is digits:{smaller['version']}",
            f"digits@live serves digits:{smaller['version']} (",
        ),
        *(f"from digits:{smaller['version']}", f"digits@live serves digits:{trained['version']} again ("),
        *(f"from digits:{trained['version']}", "rollback"),
    )
    assert live(deployed)["version"] == trained["version"]
    assert trained["metrics"]["test_accuracy"] > 0.97
    made = deployed.yard_json("show", f"digits:{smaller['version']}")
    assert made["lineage"]["parent"] == f"digits:{trained['version']}"
    assert made["size"] < deployed.yard_json("show", f"digits:{trained['version']}")["size"] / 2
    (worth,) = json.loads((tmp_path / "explained.json").read_text())["outputs"]
    image = np.array(json.loads((DIGITS / "request.json").read_text())["inputs"][0]["data"])
    # Blank paper is what ink is compared with: it is worth nothing, and the ink is worth the answer.
    assert (worth["name"], worth["shape"]) == ("image", [1, 64])
    assert not np.array(worth["data"])[image == 0].any()
    assert max(worth["data"]) > 0.01


def test_the_walk_with_texts_says_which_words_decided(deployed: Deployed, tmp_path: Path) -> None:
    seen = walk(deployed, "sentences", tmp_path)
    assert_in_order(
        seen,
        *("sentences:1 is published", "sentences@live serves sentences:1 (", "from sentences:1"),
        *("int8-dynamic is sentences:2", "from sentences:2", "serves sentences:1 again", "from sentences:1"),
    )
    words = re.findall(r"^([+-][0-9.]+) (\w+)$", seen, re.MULTILINE)
    assert sorted(word for _, word in words) == sorted(
        ["i", "forgot", "my", "password", "and", "cannot", "log", "in"]
    )
    assert words[0][1] == "password"
    explained = json.loads((tmp_path / "explained.json").read_text())["parameters"]
    assert (explained["target"], explained["output"]) == (0, "probabilities"), "the account's desk"
