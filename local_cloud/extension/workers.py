"""Run Python functions the way Lambda does: environment, module path, errors, logs and an end with the cloud.

Stock: the environment of a function inherits every variable of the cloud's own; layers come before the
function's code on ``sys.path``; every exception is a ``Runtime.HandlerError`` and costs the environment; a
handler that logs nothing waits 50 ms; environments outlive a killed cloud.
AWS: "Using Lambda environment variables" (the reserved names and nothing of the host), "Lambda function
errors in Python" (``errorType`` is the exception's class, the environment is kept),
"Function.ResponseSizeTooLarge" for answers over 6,291,556 bytes, "Runtime.ExitError" when a handler ends its
process.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime, tls
from ministack.services import lambda_svc

from local_cloud.extension import packages
from local_cloud.extension.worker import LOG_END

INHERITED = ("PATH", "LANG", "LC_ALL", "HOME", "SSL_CERT_FILE")
"""What a function sees of the cloud's own environment; the last is whom this machine trusts."""

_RUNTIME_DIR = Path(__file__).parent / "runtime"
_WORKER = Path(__file__).with_name("worker.py")
_LOG_WAIT_S = 0.25

# The kernel's "kill me with my parent" looks at the thread that started the process, not at its process:
# environments are started by this one thread, which lives as long as the cloud.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="environments")


class InitError(RuntimeError):
    """A function could not be imported; carries the error document AWS answers with."""

    def __init__(self, error_type: str, message: str, trace: str) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.trace = trace


class PythonWorker(lambda_runtime.Worker):  # type: ignore[misc]
    """One execution environment of a Python function."""

    def _spawn(self) -> None:
        self._discard_tmpdir()
        self._tmpdir = tempfile.mkdtemp(prefix="environment-")
        code = packages.unpacked(self.code_zip)
        layers = packages.unpacked_layers(self.config.get("Layers") or [])
        variables = _function_variables(self.config)
        # Any: ministack declares no types, and the pipes of a started process are always there.
        self._proc: Any = _starter.submit(_start, code, _environment(self, code, variables)).result()
        self._stderr_queue: queue.Queue[str] = queue.Queue()
        self._stderr_thread = threading.Thread(target=self._read_stderr, daemon=True)
        self._stderr_thread.start()
        self._send(_init_document(self.config, code, layers))
        answer = self._receive_init()
        if answer.get("status") != "ready":
            self._proc.kill()
            self._proc.wait()
            raise InitError(answer["error_type"], answer["error"], answer["trace"])
        self._start_time = time.time()

    def _send(self, document: dict[str, Any]) -> None:
        # A process that dies at once is reported by the read that follows, with its last words.
        try:
            self._proc.stdin.write(json.dumps(document) + "\n")
            self._proc.stdin.flush()
        except BrokenPipeError:
            return

    def _receive_init(self) -> dict[str, Any]:
        line = self._proc.stdout.readline()
        if line:
            return dict(json.loads(line))
        code = self._proc.wait()
        self._stderr_thread.join(timeout=_LOG_WAIT_S)
        message = f"Runtime exited with error: exit status {code}"
        return {"error_type": "Runtime.ExitError", "error": message, "trace": self._drain_stderr()}

    def _drain_stderr_bounded(self, *_: float, **__: float) -> str:
        """Collect the log up to the mark the environment writes after each invocation; no fixed wait."""
        lines: list[str] = []
        end = time.monotonic() + _LOG_WAIT_S
        while (left := end - time.monotonic()) > 0:
            try:
                line = self._stderr_queue.get(timeout=left)
            except queue.Empty:
                break
            text, mark, _request = line.partition(LOG_END)
            if text or not mark:
                lines.append(text)
            if mark:
                break
        return "\n".join(lines)


def _start(code: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", str(_WORKER), str(os.getpid())],
        cwd=code,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        bufsize=1,
        env=environment,
    )


def _function_variables(config: dict[str, Any]) -> dict[str, str]:
    variables = (config.get("Environment") or {}).get("Variables") or {}
    reserved = lambda_runtime._RESERVED_RUNTIME_ENV_VARS
    return {name: str(value) for name, value in variables.items() if name not in reserved}


def _environment(worker: PythonWorker, code: Path, variables: dict[str, str]) -> dict[str, str]:
    config = worker.config
    _, region = lambda_runtime._account_region_from_function_config(config)
    scheme = "https" if tls.use_ssl_enabled() else "http"
    name = config.get("FunctionName", "")
    snapstart = (config.get("SnapStart") or {}).get("OptimizationStatus") == "On"
    environment = {key: os.environ[key] for key in INHERITED if key in os.environ}
    environment |= {
        "AWS_ENDPOINT_URL": f"{scheme}://127.0.0.1:{os.environ['GATEWAY_PORT']}",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.get('Runtime', 'python3.13')}",
        "TMPDIR": worker._tmpdir,
        "TZ": ":UTC",
    }
    if tls.use_ssl_enabled():
        # What this machine trusts does not vouch for the cloud, and a name that is there is left as it is.
        environment.pop("SSL_CERT_FILE", None)
        tls.trust_gateway_cert(environment)
    return {
        **environment,
        **variables,
        **lambda_runtime.execution_credentials(config),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
        "AWS_LAMBDA_FUNCTION_VERSION": config.get("Version", "$LATEST"),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if snapstart else "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": (config.get("LoggingConfig") or {}).get("LogGroup")
        or f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": uuid.uuid4().hex,
        "LAMBDA_TASK_ROOT": str(code),
        "LAMBDA_RUNTIME_DIR": str(_RUNTIME_DIR),
        "_HANDLER": config.get("Handler", ""),
    }


def _init_document(config: dict[str, Any], code: Path, layers: list[Path]) -> dict[str, Any]:
    module, _, handler = str(config.get("Handler", "index.handler")).rpartition(".")
    return {
        "code_dir": str(code),
        "layers": [str(layer) for layer in layers],
        "runtime_dir": str(_RUNTIME_DIR),
        "module": module.replace("/", "."),
        "handler": handler,
        "function_name": config.get("FunctionName", ""),
        "memory": config.get("MemorySize", 128),
        "arn": config.get("FunctionArn", ""),
        "snapstart": (config.get("SnapStart") or {}).get("OptimizationStatus") == "On",
    }


def _execute(func: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
    """Run one invocation of a Python function in a free environment."""
    config = func.get("config") or func
    lambda_svc._ensure_reaper_thread()
    worker, _ = lambda_svc.acquire_worker(
        config["FunctionName"], config, func["code_zip"], qualifier=config.get("Version", "$LATEST")
    )
    started = time.monotonic()
    try:
        lambda_runtime.ensure_spawned(worker)
        started = time.monotonic()  # AWS's Duration leaves initialisation out
        answer = worker.invoke(
            event,
            request_id,
            trace_id=lambda_svc._xray_trace_id_for_invocation(config),
            invoked_function_arn=config.get("FunctionArn", ""),
            depth=lambda_svc._invoke_depth.get(),
            durable=lambda_svc._durable_env_overlay(),
        )
    except InitError as error:
        return _failure(error.error_type, str(error), request_id, error.trace)
    finally:
        lambda_svc.release_worker(worker)
    duration_ms = (time.monotonic() - started) * 1000
    log = answer.get("log", "")
    if answer.get("status") == "ok":
        result = {"body": answer.get("result"), "log": log, "error": bool(answer.get("failed"))}
    else:
        result = _failure(*_lost(str(answer.get("error")), request_id), request_id, log)
    return {**result, "duration_ms": duration_ms}


def _lost(error: str, request_id: str) -> tuple[str, str]:
    """Name the failure of an environment that gave no answer."""
    if error.startswith("Task timed out"):
        return "Sandbox.Timedout", f"RequestId: {request_id} Error: {error}"
    if error == "Worker process died":
        return (
            "Runtime.ExitError",
            f"RequestId: {request_id} Error: Runtime exited without providing a reason",
        )
    return "Runtime.Unknown", error


def _failure(error_type: str, message: str, request_id: str, log: str) -> dict[str, Any]:
    document = {"errorType": error_type, "errorMessage": message, "requestId": request_id}
    return {"body": document, "error": True, "log": "\n".join(filter(None, [log, message]))}


def _worker_class_for(config: dict[str, Any]) -> Any:
    if str(config.get("Runtime", "")).startswith("python"):
        return PythonWorker
    return _stock_worker_class_for(config)


def _execute_function_warm(func: dict[str, Any], event: Any, request_id: str) -> Any:
    config = func.get("config") or func
    if func.get("code_zip") and str(config.get("Runtime", "")).startswith("python"):
        return _execute(func, event, request_id)
    return _stock_execute_function_warm(func, event, request_id)


def kill_all() -> None:
    """End every environment at once; they hold nothing that is worth waiting for."""
    with lambda_runtime._lock:
        workers = [worker for pool in lambda_runtime._workers.values() for worker in pool]
        lambda_runtime._workers.clear()
    for worker in workers:
        if worker._proc is not None:
            worker._proc.kill()


_stock_worker_class_for = lambda_runtime._worker_class_for
_stock_execute_function_warm = lambda_svc._execute_function_warm


def install() -> None:
    """Replace how Python functions are started and called."""
    lambda_runtime._worker_class_for = _worker_class_for
    lambda_svc._execute_function_warm = _execute_function_warm
