"""A second alias beside ``live``, and versions asked for by number, on a real deploy."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from local_cloud.errors import LocalCloudError
from tests.conftest import ROOT, Deployed

pytestmark = pytest.mark.cloud

DIGITS = ROOT / "examples" / "digits"
REQUEST = json.loads((DIGITS / "request.json").read_text())


@pytest.fixture(scope="module")
def staged(deployed: Deployed) -> Iterator[Deployed]:
    """``live`` serves version 1 with nothing before it, ``candidate`` is declared and serves nothing."""
    for version in ("v1", "v2"):
        deployed.yard_json("publish", "digits", str(DIGITS / version / "model.onnx"))
    deployed.deploy(aliases=("live", "candidate"))
    if deployed.yard_json("history", "digits"):
        deployed.yard_json("retire", "digits")
    deployed.yard_json("release", "digits:1")
    yield deployed
    deployed.yard_json("retire", "digits", "--alias", "candidate")
    deployed.deploy()


@pytest.fixture(scope="module")
def api(staged: Deployed) -> str:
    return staged.api_url


def serves(api: str, path: str) -> tuple[int, str]:
    """The status, and the version that says it answered."""
    answer = httpx.post(f"{api}{path}/infer", json=REQUEST, timeout=35)
    return answer.status_code, answer.headers.get("x-switchyard-model", "")


def test_an_alias_that_was_declared_later_answers_503_at_its_own_address(api: str) -> None:
    assert serves(api, "/candidate/v2/models/digits")[0] == 503
    assert serves(api, "/v2/models/digits") == (200, "digits:1")


def test_a_release_to_a_candidate_leaves_live_where_it_is(staged: Deployed, api: str) -> None:
    moved = staged.yard_json("release", "digits:2", "--alias", "candidate", "--reason", "team a tries it")
    assert (moved["alias"], moved["line"]["line"]) == ("candidate", 1)
    assert serves(api, "/candidate/v2/models/digits") == (200, "digits:2")
    assert serves(api, "/v2/models/digits") == (200, "digits:1")


def test_each_alias_has_its_own_history_and_status(staged: Deployed) -> None:
    (line,) = staged.yard_json("history", "digits", "--alias", "candidate")
    assert (line["version"], line["reason"]) == (2, "team a tries it")
    assert staged.yard_json("history", "digits")[-1]["version"] == 1
    found = staged.yard_json("status", "digits")
    assert [(item["alias"], item["version"]) for item in found["aliases"]] == [("live", 1), ("candidate", 2)]
    (model,) = found["models"]
    assert (model["by_number"], model["disagreements"]) == ([1, 2], [])


def test_invoke_speaks_to_the_alias_that_is_named(staged: Deployed) -> None:
    for alias, version in (("candidate", "2"), ("live", "1")):
        answer = staged.yard_json("invoke", "digits", "--alias", alias)
        assert answer["model_version"] == version


def test_a_version_released_under_any_alias_answers_to_its_number_everywhere(
    staged: Deployed, api: str
) -> None:
    for prefix in ("", "/candidate"):
        for version in (1, 2):
            path = f"{prefix}/v2/models/digits/versions/{version}"
            assert serves(api, path) == (200, f"digits:{version}")
            assert httpx.get(f"{api}{path}", timeout=35).json()["versions"] == [str(version)]
    assert staged.yard_json("invoke", "digits", "--version", "2")["model_version"] == "2"


def test_the_errors_of_a_pinned_version_are_its_own(api: str) -> None:
    answer = httpx.post(f"{api}/v2/models/digits/versions/2/infer", json={"inputs": []}, timeout=35)
    assert (answer.status_code, answer.headers["x-switchyard-model"]) == (400, "digits:2")


def test_a_version_released_nowhere_is_a_404_that_names_what_there_is(api: str) -> None:
    answer = httpx.get(f"{api}/v2/models/digits/versions/9", timeout=35)
    assert answer.status_code == 404
    assert answer.json()["error"] == (
        "version `9` of digits is not released, version 1 is; by number there are also: 2"
    )


def test_a_rollback_of_one_alias_keeps_the_other(staged: Deployed, api: str) -> None:
    staged.yard_json("release", "digits:1", "--alias", "candidate")
    assert serves(api, "/candidate/v2/models/digits") == (200, "digits:1")
    back = staged.yard_json("rollback", "digits", "--alias", "candidate", "--to", "2")
    assert back["version"] == 2
    assert serves(api, "/candidate/v2/models/digits") == (200, "digits:2")
    refused = staged.yard("rollback", "digits", "--alias", "candidate")
    assert (refused.returncode, b"no earlier release" in refused.stderr) == (1, True)
    assert serves(api, "/v2/models/digits") == (200, "digits:1")


def test_a_changed_base_takes_every_alias_and_every_number_along(staged: Deployed, api: str) -> None:
    """Law 4, for each alias."""
    staged.deploy(memory_mb=640, aliases=("live", "candidate"))
    found = staged.yard_json("status", "digits")
    assert [(item["version"], item["memory_mb"]) for item in found["aliases"]] == [(1, 640), (2, 640)]
    assert found["models"][0]["disagreements"] == []
    assert serves(api, "/v2/models/digits/versions/2") == (200, "digits:2")


def test_an_alias_that_serves_cannot_leave_the_catalog(staged: Deployed, api: str) -> None:
    """Law 10: the guard refuses before anything is deleted, for a second alias as for ``live``."""
    with pytest.raises(LocalCloudError, match="digits@candidate"):
        staged.deploy(memory_mb=640)
    assert serves(api, "/candidate/v2/models/digits") == (200, "digits:2")


def test_an_alias_out_of_service_takes_its_number_with_it_and_may_leave(staged: Deployed, api: str) -> None:
    staged.yard_json("retire", "digits", "--alias", "candidate")
    assert serves(api, "/candidate/v2/models/digits")[0] == 503
    assert httpx.get(f"{api}/v2/models/digits/versions/2", timeout=35).status_code == 404
    staged.deploy(memory_mb=640)
    assert serves(api, "/candidate/v2/models/digits")[0] == 404
    assert serves(api, "/v2/models/digits") == (200, "digits:1")
    staged.deploy(memory_mb=640, aliases=("live", "candidate"))
