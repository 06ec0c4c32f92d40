"""How functions run: environment, errors, layers, logs, and their end."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from local_cloud import cloud as local_cloud

pytestmark = pytest.mark.cloud


def test_an_exception_names_its_class_and_the_environment_survives_it(account: Any) -> None:
    name = account.function(
        "calls = []\ndef handler(event, context):\n    calls.append(1)\n"
        "    if event == 'bad':\n        raise KeyError('no such model')\n    return len(calls)\n"
    )
    failed = account.call(name, "bad")
    assert (failed["errorType"], failed["errorMessage"]) == ("KeyError", "'no such model'")
    assert "main.py" in failed["stackTrace"][0]
    assert account.call(name, "good") == 2


def test_a_stock_cloud_names_every_exception_the_same_and_drops_the_environment(stock_account: Any) -> None:
    name = stock_account.function(
        "calls = []\ndef handler(event, context):\n    calls.append(1)\n"
        "    if event == 'bad':\n        raise KeyError('no such model')\n    return len(calls)\n"
    )
    assert stock_account.call(name, "bad")["errorType"] == "Runtime.HandlerError"
    assert stock_account.call(name, "good") == 1


@pytest.mark.parametrize(
    ("code", "settings", "error_type"),
    [
        ("import nowhere_to_be_found\n", {}, "Runtime.ImportModuleError"),
        ("def handler(:\n", {}, "Runtime.UserCodeSyntaxError"),
        ("x = 1\n", {}, "Runtime.HandlerNotFound"),
        ("raise ValueError('at import')\n", {}, "ValueError"),
        ("def handler(event, context):\n    return {1, 2}\n", {}, "Runtime.MarshalError"),
        ("import os\ndef handler(event, context):\n    os._exit(3)\n", {}, "Runtime.ExitError"),
        (
            "import time\ndef handler(event, context):\n    time.sleep(9)\n",
            {"Timeout": 1},
            "Sandbox.Timedout",
        ),
    ],
)
def test_a_function_that_cannot_run_says_what_amazon_says(
    account: Any, code: str, settings: dict[str, Any], error_type: str
) -> None:
    assert account.call(account.function(code, **settings))["errorType"] == error_type


def test_a_function_sees_its_own_variables_and_none_of_the_cloud(account: Any) -> None:
    name = account.function(
        "import os\ndef handler(event, context):\n    return dict(os.environ)\n",
        MemorySize=256,
        Environment={"Variables": {"MODEL": "digits", "AWS_REGION": "mars"}},
    )
    seen = account.call(name)
    assert not [key for key in seen if key.startswith(("SWITCHYARD_", "MINISTACK_", "GATEWAY_", "PYTHON"))]
    assert {key: seen[key] for key in ("MODEL", "AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME")} == {
        "MODEL": "digits",
        "AWS_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": name,
    }
    assert (seen["AWS_LAMBDA_FUNCTION_VERSION"], seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]) == (
        "$LATEST",
        "256",
    )
    assert seen["AWS_ENDPOINT_URL"] == account.cloud.endpoint_url


def test_a_stock_cloud_shows_functions_its_own_variables(stock_account: Any) -> None:
    name = stock_account.function("import os\ndef handler(event, context):\n    return dict(os.environ)\n")
    assert "GATEWAY_PORT" in stock_account.call(name)


def test_the_code_of_a_function_goes_before_its_layers_and_a_later_layer_before_an_earlier(
    account: Any, archive: Any
) -> None:
    name = account.function(
        "import both, second\ndef handler(event, context):\n    return [both.origin, second.origin]\n"
    )
    lambda_ = account.client("lambda")
    arns = []
    for origin in ("earlier", "later"):
        files = {f"python/{module}.py": f"origin = '{origin}'" for module in ("both", "second")}
        content = {"ZipFile": archive(files)}
        arns.append(
            lambda_.publish_layer_version(LayerName=f"{name}-{origin}", Content=content)["LayerVersionArn"]
        )
    code = {
        "main.py": "import both, second\ndef handler(event, context):\n    return [both.origin, second.origin]\n"
    }
    lambda_.update_function_code(FunctionName=name, ZipFile=archive({**code, "both.py": "origin = 'code'"}))
    account.settled(name)
    lambda_.update_function_configuration(FunctionName=name, Layers=arns)
    account.settled(name)
    assert account.call(name) == ["code", "later"]


def test_versions_that_share_a_layer_share_its_files(account: Any, archive: Any) -> None:
    big = {"python/weights.py": "here = __file__", "python/blob.bin": os.urandom(20_000_000)}
    lambda_ = account.client("lambda")
    name = account.function("import weights\ndef handler(event, context):\n    return weights.here\n")
    layer = lambda_.publish_layer_version(LayerName=name, Content={"ZipFile": archive(big)})[
        "LayerVersionArn"
    ]
    lambda_.update_function_configuration(FunctionName=name, Layers=[layer])
    account.settled(name)
    versions = [account.published(name, answer) for answer in ("one", "two")]
    files = {account.call(name, Qualifier=version) for version in versions}
    assert len(files) == 1
    copies = list((account.cloud.home / "tmp").rglob("blob.bin"))
    assert len(copies) == 1


def test_what_a_function_prints_is_in_its_log_and_a_silent_one_does_not_wait(account: Any) -> None:
    name = account.function(
        "def handler(event, context):\n    if event:\n        print(event)\n        print('last words', end='')\n"
    )
    account.call(name)
    took = []
    for _ in range(20):
        started = time.perf_counter()
        account.call(name)
        took.append(time.perf_counter() - started)
    assert min(took) < 0.045  # the wait of a stock cloud alone is 0.050, and no call escapes it
    answer = account.client("lambda").invoke(FunctionName=name, Payload=b'"hello"', LogType="Tail")
    assert base64.b64decode(answer["LogResult"]).decode() == "hello\nlast words"


def test_a_function_reaches_the_cloud_it_runs_in(account: Any) -> None:
    name = account.function(
        "import boto3\ndef handler(event, context):\n"
        "    return boto3.client('sts').get_caller_identity()['Account']\n"
    )
    assert account.call(name) == account.cloud.account


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def gone(pid: int) -> bool:
    end = time.monotonic() + 5
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(pid)


PID = "import os, time\ndef handler(event, context):\n    return os.getpid()\n"


@pytest.mark.parametrize("ending", ["stop", "killed", "parent gone"])
def test_functions_end_with_the_cloud_however_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, account: Any
) -> None:
    parent = os.posix_spawn("/bin/sleep", ["sleep", "60"], dict(os.environ))
    monkeypatch.setenv("SWITCHYARD_CLOUD_PARENT_PID", str(parent))
    cloud = local_cloud.start(tmp_path)
    try:
        other = type(account)(cloud)
        function = other.call(other.function(PID))
        assert alive(function)
        if ending == "killed":
            os.kill(cloud.pid, 9)
        elif ending == "stop":
            assert local_cloud.stop(tmp_path)
    finally:
        os.kill(parent, 9)
        os.waitpid(parent, 0)
        if ending == "parent gone":
            assert gone(function)
        local_cloud.stop(tmp_path)
    assert gone(function)
    assert not alive(cloud.pid)
    assert not (tmp_path / "tmp").exists()
    assert not json.loads(
        (tmp_path / "cloud.json").read_text() if (tmp_path / "cloud.json").exists() else "{}"
    )
