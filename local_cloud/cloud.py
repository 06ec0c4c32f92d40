"""Start, find and stop the embedded cloud: one process per home folder, on 127.0.0.1.

``home`` holds everything of one cloud: ``cloud.json`` (how to find it), ``cloud.log``, ``cloud.lock``,
``tmp/`` (its temporary files, removed with it), ``cdk/`` (the CDK's own cache). A cloud keeps no state:
stopping it empties it. Starting twice gives the same cloud, also when two processes start it at once. If the
starter dies halfway, the cloud is in ``cloud.json`` (written before it is waited for) and ``stop`` finds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.errors import LocalCloudError

ACCOUNT = "000000000000"
REGION = "us-east-1"

_PROJECT = Path(__file__).resolve().parent.parent
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0
_PROBE_TIMEOUT_S = 2.0
_POLL_S = 0.05

IMAGES: dict[str, Any] = {
    # Before the other, which its name begins with. What jobs need is installed where this runs.
    "switchyard-training": {
        "command": [],
        "environment": {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
            "SWITCHYARD_PACKAGES": "installed",
        },
    },
    "switchyard": {
        "command": [sys.executable, "-m", "functions.endpoint", "serve"],
        "environment": {
            "PYTHONPATH": str(_PROJECT),
            "SWITCHYARD_HOST": "127.0.0.1",
            "SWITCHYARD_MODEL_DIR": "{model}",
            # A stack for a machine with a GPU asks for it; what runs here has none.
            "SWITCHYARD_DEVICE": "cpu",
        },
    },
}
"""Container images, by a regular expression, as programs of this machine: nothing is pulled or built here.
``SWITCHYARD_CLOUD_IMAGES``, the same as JSON, adds to them or replaces them."""

_children: dict[int, subprocess.Popen[bytes]] = {}
"""Clouds that this process started and has not stopped: a child must be collected by its parent."""


@dataclass(frozen=True)
class Cloud:
    """A running embedded cloud and how to reach it."""

    endpoint_url: str
    port: int
    pid: int
    home: Path
    account: str = ACCOUNT
    region: str = REGION
    strict: bool = False

    def environment(self) -> dict[str, str]:
        """Return the variables that make boto3, the AWS command line and the CDK talk to this cloud."""
        variables = {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_DEFAULT_ACCOUNT": self.account,
            "CDK_DEFAULT_REGION": self.region,
            # The CDK remembers which account a key belongs to; that memory must not outlive this cloud.
            "CDK_HOME": str(self.home / "cdk"),
            "CDK_DISABLE_NOTICES": "1",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
            "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        }
        if self.strict:
            certificate = str(_certificate(self.home))
            variables |= {"AWS_CA_BUNDLE": certificate, "NODE_EXTRA_CA_CERTS": certificate}
        return variables


def start(home: Path, *, port: int | None = None, strict: bool = False) -> Cloud:
    """Start the cloud of ``home``, or return the one that runs there already.

    ``strict`` serves https and enforces IAM and bucket policies. Safe to repeat and to call from several
    processes at once: they all get the same cloud. A running cloud of another kind (strict or not, or on
    another port than asked for) is refused, as is a port that somebody else listens on.
    """
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with _locked(home):
        running = find(home)
        if running:
            return _same_kind(running, port, strict)
        _end(home)
        return _launch(home, _usable(port), strict)


def find(home: Path) -> Cloud | None:
    """Return the cloud that runs in ``home``: its process is there and it answers; else ``None``."""
    record = _record(home)
    if record is None or not _is_ours(record):
        return None
    cloud = _cloud(home, record)
    return cloud if _answers(cloud) else None


def stop(home: Path) -> bool:
    """Stop the cloud of ``home`` with everything it started, and say whether there was one.

    What does not end by itself within five seconds is killed. Safe to repeat, and after a crash of the
    starter.
    """
    if not home.exists():
        return False
    with _locked(home.resolve()):
        return _end(home.resolve())


def _same_kind(running: Cloud, port: int | None, strict: bool) -> Cloud:
    if running.strict != strict or port not in (None, running.port):
        kind = "strict" if running.strict else "not strict"
        raise LocalCloudError(
            f"the embedded cloud in `{running.home}` runs already, on port {running.port} and {kind}",
            hint="Stop it first, or ask for the one that runs.",
        )
    return running


def _launch(home: Path, port: int, strict: bool) -> Cloud:
    python = _python()
    temporary = home / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    with (home / "cloud.log").open("wb") as log:
        process = subprocess.Popen(
            [str(python), "-m", "local_cloud.extension"],
            cwd=home,
            env=_process_environment(home, port, strict),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[process.pid] = process
    record = {"pid": process.pid, "started": _start_time(process.pid), "port": port, "strict": strict}
    _write_record(home, record)
    cloud = _cloud(home, record)
    try:
        _wait_until_healthy(cloud, process)
    except BaseException:  # Ctrl-C too must not leave a half-started cloud
        _end(home)
        raise
    return cloud


def _process_environment(home: Path, port: int, strict: bool) -> dict[str, str]:
    """Everything the cloud sees: nothing of the caller's environment but where programs are."""
    temporary = str(home / "tmp")
    variables = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": temporary,
        "TMPDIR": temporary,
        "PYTHONPATH": str(_PROJECT),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": "localhost",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "DOCKER_HOST": "unix:///nonexistent",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "SWITCHYARD_CLOUD_TMPDIR": temporary,
        "SWITCHYARD_CLOUD_IMAGES": json.dumps(_images()),
    }
    # The last one: which certificates an issuer of tokens may show (``extension.jwt_authorizers``).
    for name in (
        "SWITCHYARD_CLOUD_PARENT_PID",
        "SWITCHYARD_CLOUD_STOCK",
        "SWITCHYARD_CLOUD_BAD_DAY",
        "SSL_CERT_FILE",
    ):
        if name in os.environ:
            variables[name] = os.environ[name]
    if strict:
        variables |= {"USE_SSL": "1", "AUTH": "true"}
    return variables


def _images() -> dict[str, Any]:
    """What somebody has said comes first: the first expression that fits is taken."""
    said = json.loads(os.environ.get("SWITCHYARD_CLOUD_IMAGES") or "{}")
    return {**said, **{pattern: image for pattern, image in IMAGES.items() if pattern not in said}}


def _python() -> Path:
    chosen = os.environ.get("SWITCHYARD_LOCAL_PYTHON")
    python = Path(chosen) if chosen else _PROJECT / ".venv-local" / "bin" / "python"
    if not python.exists():
        hint = (
            "Set SWITCHYARD_LOCAL_PYTHON to a Python that has ministack." if chosen else "Run `make setup`."
        )
        raise LocalCloudError(f"the embedded cloud's Python is missing: `{python}`", hint=hint)
    return python


def _usable(port: int | None) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port or 0))
        except OSError as error:
            raise LocalCloudError(
                f"port {port} of 127.0.0.1 cannot be used: {error.strerror}",
                hint="Choose another port, or leave it out to get a free one.",
            ) from error
        return int(probe.getsockname()[1])


def _wait_until_healthy(cloud: Cloud, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise LocalCloudError(
                f"the embedded cloud ended at start (exit code {process.returncode})\n{_tail(cloud.home)}",
                hint=f"Read `{cloud.home / 'cloud.log'}`; `make setup` repairs an incomplete installation.",
            )
        if _answers(cloud):
            return
        time.sleep(_POLL_S)
    raise LocalCloudError(
        f"the embedded cloud does not answer after {_START_TIMEOUT_S:.0f} s\n{_tail(cloud.home)}",
        hint=f"Read `{cloud.home / 'cloud.log'}`, then start it again.",
    )


def _answers(cloud: Cloud) -> bool:
    try:
        context = ssl.create_default_context(cafile=str(_certificate(cloud.home))) if cloud.strict else None
        with urllib.request.urlopen(  # noqa: S310  (our own address)
            f"{cloud.endpoint_url}/_ministack/health", timeout=_PROBE_TIMEOUT_S, context=context
        ) as answer:
            return bool(answer.status == 200)
    except (OSError, ssl.SSLError, urllib.error.URLError):
        return False


def _tail(home: Path, lines: int = 15) -> str:
    try:
        text = (home / "cloud.log").read_text(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _end(home: Path) -> bool:
    """Stop what ``cloud.json`` names, and clean up; the lock is held."""
    record = _record(home)
    was_there = record is not None and _is_ours(record)
    if record is not None and was_there:
        _signal(record, signal.SIGTERM)
        end = time.monotonic() + _STOP_TIMEOUT_S
        while time.monotonic() < end and _is_ours(record):
            time.sleep(_POLL_S)
        # What is left of its group: the cloud itself if it hangs, or processes that functions started.
        _signal(record, signal.SIGKILL)
        while _is_ours(record):
            time.sleep(_POLL_S)
    child = _children.pop(record["pid"], None) if record else None
    if child:
        child.wait()
    shutil.rmtree(home / "tmp", ignore_errors=True)
    (home / "cloud.json").unlink(missing_ok=True)
    return was_there


def _signal(record: dict[str, Any], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(record["pid"], number)  # it leads its own group


def _cloud(home: Path, record: dict[str, Any]) -> Cloud:
    scheme = "https" if record["strict"] else "http"
    return Cloud(
        endpoint_url=f"{scheme}://127.0.0.1:{record['port']}",
        port=record["port"],
        pid=record["pid"],
        home=home.resolve(),
        strict=record["strict"],
    )


def _record(home: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((home / "cloud.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return (
        record if isinstance(record, dict) and {"pid", "started", "port", "strict"} <= set(record) else None
    )


def _write_record(home: Path, record: dict[str, Any]) -> None:
    temporary = home / "cloud.json.new"
    temporary.write_text(json.dumps(record))
    temporary.replace(home / "cloud.json")


def _is_ours(record: dict[str, Any]) -> bool:
    """Whether the process of the record still runs, and is not a later one that got its number."""
    child = _children.get(record["pid"])
    if child:
        child.poll()
    started = _start_time(record["pid"])
    return started is not None and bool(started == record["started"])


def _start_time(pid: int) -> str | None:
    """Return what tells a process from a later one with its number, ``None`` when there is none."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    shown = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return None if not shown or shown[0].startswith("Z") else shown[1].strip()


def _certificate(home: Path) -> Path:
    return home / "tmp" / "ministack-tls" / "server.crt"


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[None]:
    """Let one process at a time change the cloud of ``home``; the lock ends with its holder."""
    with (home / "cloud.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
