"""The program that runs a function, spoken to as the embedded cloud does: one JSON document per line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).parents[4] / "local_cloud" / "extension" / "worker.py"
RUNTIME = WORKER.parent / "runtime"


class Environment:
    def __init__(self, code: Path, layers: list[Path], **init: Any) -> None:
        variables = {
            "PATH": os.defpath,
            "AWS_LAMBDA_FUNCTION_VERSION": "7",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
            "AWS_LAMBDA_LOG_STREAM_NAME": "s",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=variables,
        )
        self.ready = self.ask(
            {
                "code_dir": str(code),
                "layers": [str(layer) for layer in layers],
                "runtime_dir": str(RUNTIME),
                "module": "main",
                "handler": "handler",
                "function_name": "f",
                "memory": 128,
                "arn": "arn:f",
                **init,
            }
        )

    def ask(self, document: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(document) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def call(self, event: Any) -> Any:
        return self.ask({"event": event, "ctx": {"request_id": "r", "timeout_ms": 2000, "depth": 1}})

    def end(self) -> str:
        _, log = self.process.communicate(timeout=5)
        return str(log)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    return folder


def test_a_handler_answers_often_and_ends_with_its_input(code: Path) -> None:
    (code / "main.py").write_text(
        "n = []\ndef handler(e, c):\n    n.append(e)\n    print('saw', e)\n    return len(n)\n"
    )
    environment = Environment(code, [])
    assert environment.ready == {"status": "ready"}
    assert [environment.call(x)["result"] for x in ("a", "b")] == [1, 2]
    assert environment.end().splitlines() == ["saw a", "\x02end-of-log r", "saw b", "\x02end-of-log r"]
    assert environment.process.returncode == 0


def test_the_context_says_what_amazon_says(code: Path) -> None:
    (code / "main.py").write_text(
        "def handler(e, c):\n    return [c.function_name, c.function_version, c.memory_limit_in_mb, c.aws_request_id,"
        " c.invoked_function_arn, c.log_group_name, 0 < c.get_remaining_time_in_millis() <= 2000]\n"
    )
    environment = Environment(code, [])
    assert environment.call({})["result"] == ["f", "7", "128", "r", "arn:f", "/aws/lambda/f", True]
    environment.end()


def test_the_worker_shows_no_module_of_this_project(code: Path) -> None:
    (code / "main.py").write_text("import workers\n")
    environment = Environment(code, [])
    assert environment.ready["error_type"] == "Runtime.ImportModuleError"
    assert environment.ready["error"] == "Unable to import module 'main': No module named 'workers'"
    environment.end()


def test_layers_stand_before_the_standard_library_and_after_the_code(code: Path, tmp_path: Path) -> None:
    layer = tmp_path / "layer" / "python"
    layer.mkdir(parents=True)
    (layer / "this.py").write_text("origin = 'layer'")
    (layer / "main.py").write_text("def handler(e, c):\n    return 'layer'\n")
    (code / "main.py").write_text("import this\ndef handler(e, c):\n    return this.origin\n")
    environment = Environment(code, [layer.parent])
    assert environment.call({})["result"] == "layer"
    environment.end()


def test_snapshot_hooks_run_backwards_before_and_forwards_after(code: Path) -> None:
    (code / "main.py").write_text(
        "import snapshot_restore_py as s\nseen = []\n"
        "for x in (1, 2):\n    s.register_before_snapshot(seen.append, x)\n    s.register_after_restore(seen.append, -x)\n"
        "def handler(e, c):\n    return seen\n"
    )
    environment = Environment(code, [], snapstart=True)
    assert environment.call({})["result"] == [2, 1, -1, -2]
    environment.end()


def test_a_worker_whose_parent_is_already_gone_does_not_start(code: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-P", str(WORKER), "1"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=5,
    )
    assert (ended.returncode, ended.stdout) == (1, b"")
