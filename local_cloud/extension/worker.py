"""The Lambda execution environment for Python: a process that imports a handler once and calls it often.

Run as a script (``python -P worker.py PARENT_PID``), one JSON document per line: first the init document on
stdin, answered by ``{"status": "ready"}`` or ``{"status": "error"}``; then one envelope per invocation. What
the handler prints goes to stderr; a line that holds the marker of the invocation ends its log.

AWS sources: "Lambda execution environment lifecycle", "Lambda function errors in Python" (the error document)
and aws-lambda-python-runtime-interface-client (names of init errors, order of ``sys.path``, marshalling).

If the embedded cloud dies, by SIGKILL too, this process dies with it: the kernel is asked to send SIGKILL,
and stdin ends. It imports nothing of this project.
"""

from __future__ import annotations

import json
import os
import site
import sys
import threading
import time
import traceback
from importlib import import_module
from pathlib import Path
from typing import IO, Any

RESPONSE_LIMIT = 6_291_556
LOG_END = "\x02end-of-log "
_PR_SET_PDEATHSIG = 1
_SIGKILL = 9
_DURABLE = (
    "AWS_LAMBDA_DURABLE_EXECUTION_ARN",
    "AWS_LAMBDA_DURABLE_CHECKPOINT_TOKEN",
    "AWS_LAMBDA_DURABLE_EXECUTION_NAME",
)


def main() -> None:
    """Serve invocations until stdin ends."""
    _die_with(int(sys.argv[1]))
    requests, answers = sys.stdin, sys.stdout
    sys.stdout = sys.stderr  # what a handler prints is its log
    init = json.loads(requests.readline())
    try:
        handler = _load(init)
    except BaseException as error:  # noqa: BLE001  (SystemExit at import is an answer too)
        _answer(answers, {"status": "error", **_init_error(error, init)})
        return
    _answer(answers, {"status": "ready"})
    for line in requests:
        envelope = json.loads(line)
        _serve(answers, handler, init, envelope["event"], envelope.get("ctx") or {})


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _load(init: dict[str, Any]) -> Any:
    os.environ.update(init.get("env") or {})
    _put_on_path(init)
    _stamp_invoke_depth()
    module = import_module(init["module"])
    handler = getattr(module, init["handler"])
    if init.get("snapstart"):
        _restore_from_snapshot()
    return handler


def _put_on_path(init: dict[str, Any]) -> None:
    """Function code first, then layers (the last one wins), then Python's own folders, the runtime's last."""
    front = [init["code_dir"]]
    for layer in reversed(init.get("layers") or []):
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = str(Path(layer, "python", "lib", version, "site-packages"))
        if Path(packages).is_dir():
            site.addsitedir(packages)
            sys.path.remove(packages)
            front.append(packages)
        if Path(layer, "python").is_dir():
            front.append(str(Path(layer, "python")))
    sys.path[:0] = front
    sys.path.append(init["runtime_dir"])


def _stamp_invoke_depth() -> None:
    """Let the embedded cloud count how deep functions invoke functions, as AWS's recursion detection does.

    botocore is imported only by functions that use it: a hook on its import costs a silent function nothing.
    """
    sys.meta_path.insert(0, _BotocoreHook())


class _BotocoreHook:
    def find_spec(self, name: str, *_: Any) -> None:
        if name == "botocore.session":
            sys.meta_path.remove(self)
            handlers = import_module("botocore.handlers")
            handlers.BUILTIN_HANDLERS.append(("before-call", _add_depth))


def _add_depth(params: dict[str, Any], **_: Any) -> None:
    depth = os.environ.get("_MINISTACK_INVOKE_DEPTH")
    if depth:
        params["headers"].setdefault("X-Ministack-Invoke-Depth", depth)


def _restore_from_snapshot() -> None:
    hooks = import_module("snapshot_restore_py")
    for function, args, kwargs in reversed(hooks.get_before_snapshot()):
        function(*args, **kwargs)
    for function, args, kwargs in hooks.get_after_restore():
        function(*args, **kwargs)


def _init_error(error: BaseException, init: dict[str, Any]) -> dict[str, Any]:
    module, handler = init["module"], init["handler"]
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, ImportError):
        kind, message = "Runtime.ImportModuleError", f"Unable to import module '{module}': {error}"
    elif isinstance(error, SyntaxError):
        kind, message = "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module}': {error}"
    elif isinstance(error, AttributeError) and handler in str(error) and error.name == handler:
        kind, message = "Runtime.HandlerNotFound", f"Handler '{handler}' missing on module '{module}'"
    elif isinstance(error, SystemExit):
        kind, message = "Runtime.ExitError", "Runtime exited during initialisation"
    else:
        kind, message = type(error).__name__, str(error)
    return {"error_type": kind, "error": message, "trace": trace}


def _serve(answers: IO[str], handler: Any, init: dict[str, Any], event: Any, ctx: dict[str, Any]) -> None:
    request_id = ctx.get("request_id") or ""
    _per_invocation_environment(ctx)
    try:
        result = handler(event, Context(init, ctx))
    except Exception as error:  # noqa: BLE001  (whatever a handler raises is its answer)
        traceback.print_exc()
        answer = _failed(
            type(error).__name__, str(error), request_id, traceback.format_tb(error.__traceback__)[1:]
        )
    else:
        answer = _returned(result, request_id)
    sys.stderr.write(f"{LOG_END}{request_id}\n")
    sys.stderr.flush()
    _answer(answers, answer)


def _per_invocation_environment(ctx: dict[str, Any]) -> None:
    durable = ctx.get("durable") or {}
    values = {
        "_X_AMZN_TRACE_ID": ctx.get("trace_id"),
        "_MINISTACK_INVOKE_DEPTH": ctx.get("depth"),
        **{name: durable.get(name) for name in _DURABLE},
    }
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = str(value)


def _returned(result: Any, request_id: str) -> dict[str, Any]:
    try:
        size = len(json.dumps(result, ensure_ascii=False).encode())
    except (TypeError, ValueError) as error:
        return _failed("Runtime.MarshalError", f"Unable to marshal response: {error}", request_id, [])
    if size > RESPONSE_LIMIT:
        message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes)."
        return {
            "status": "ok",
            "failed": True,
            "result": {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message},
        }
    return {"status": "ok", "result": result}


def _failed(kind: str, message: str, request_id: str, trace: list[str]) -> dict[str, Any]:
    document = {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}
    return {"status": "ok", "failed": True, "result": document}


def _answer(answers: IO[str], document: dict[str, Any]) -> None:
    answers.write(json.dumps(document) + "\n")
    answers.flush()


class Context:
    """The context object a handler receives, with the names AWS gives it."""

    def __init__(self, init: dict[str, Any], ctx: dict[str, Any]) -> None:
        self.function_name = init["function_name"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = str(init["memory"])
        self.invoked_function_arn = ctx.get("invoked_function_arn") or init["arn"]
        self.aws_request_id = ctx.get("request_id") or ""
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None
        self.tenant_id = None
        self._deadline = time.monotonic() + (ctx.get("timeout_ms") or 3000) / 1000

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the function may still run."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


if __name__ == "__main__":
    main()
