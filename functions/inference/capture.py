"""Keeps a sample of what was asked and answered, for who watches how a model's inputs change.

Off unless the catalog says otherwise, and imported only then. Law: a caller is answered as if nothing were
kept. What the path pays is a look at the status and a checksum of the request's id; a sampled request goes
to a thread that nobody waits for, which reads both halves, leaves out and hashes what the catalog names, and
writes a Parquet file with every row that came since the last one (ADR 39). Lambda may freeze the environment
half way; then it is written when the environment is used again, or lost.

One recorder takes what every door has answered (ADR 52): ``CaptureDoor`` stands around the HTTP door, the
doors of invocations, messages and objects tell it themselves, and so does who answers by reference.

Which requests are sampled follows from their id alone: whoever has the id knows, and sampling again after the
fact gives the same ones.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple
from zlib import crc32

from functions.inference.captured_rows import About, Carried, Rows, size_of
from functions.inference.mirror import DIRECT
from functions.inference.ports import Captures
from functions.inference.released import Released, Unreleased
from functions.inference.request_log import RequestLog, alias_of
from model_store.contract import capture as contract
from model_store.contract import parquet
from model_store.contract.capture import CaptureSettings
from model_store.contract.environment import CAPTURE, CAPTURE_BUCKET

MOST_WAITING = 32
"""So many sampled requests wait to be read."""

SHARE_WAITING = 8
"""What waits holds no more than this part of the function's memory: each may be tens of megabytes."""

MEMORY = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"

WRITE_EVERY_S = 10.0
"""A file at most that often; the first rows of an environment, and any after a pause, are written at once."""

MOST_BUFFERED = 1_000
MOST_BUFFERED_WEIGHT = 524_288
"""Rows, and values in them, that are written without waiting for more."""

HOUR_S = 3_600

INFER = "/infer"

Handler = Callable[[Any, Any], dict[str, Any]]
Row = tuple[Any, ...]


class _Sampled(NamedTuple):
    """A request on its way to the thread."""

    request: Carried | None
    answer: Carried | None
    about: About
    at: float
    held: int


def recording(
    served: Released | Unreleased,
    environ: Mapping[str, str],
    log: RequestLog,
    *,
    own_paths: tuple[str, ...] = (),
) -> Recorder | None:
    """Return what keeps requests as the environment asks for, or nothing, if that cannot be done.

    What the catalog wants left out and the version has not is a reason to keep nothing; the log says so.
    ``own_paths`` are how paths of a team's own container end, whose bodies are nobody's here to read.
    """
    if isinstance(served, Unreleased):
        return None
    try:
        settings = CaptureSettings.from_json(environ[CAPTURE])
        if settings.rate <= 0:
            return None
        bucket = environ[CAPTURE_BUCKET]
        return Recorder(
            cache(lambda: _connect(bucket, environ)),
            served,
            settings,
            log,
            own_paths=own_paths,
            most_held=int(environ.get(MEMORY, "512")) * 1_000_000 // SHARE_WAITING,
        )
    except Exception as error:  # noqa: BLE001 - whatever is wrong with capture is nothing to a caller
        log.aside({"capture": "off", "why": str(error)})
        return None


def _connect(bucket: str, environ: Mapping[str, str]) -> Captures:
    """Imported by the thread, with the first file: HTTP alone takes longer than the rest of a start."""
    from functions.inference.adapters.s3_blobs import S3Blobs

    return S3Blobs(bucket, environ)


class CaptureDoor:
    """A Lambda handler around another one, whose answers it returns as they are."""

    def __init__(self, inner: Handler, recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        self._recorder.forget()
        answer = self._inner(event, context)
        if answer.get("statusCode") in (200, 202):
            self._recorder.answered(event, answer, context)
        return answer


class Recorder:
    """Takes requests with their answers, and keeps its share of them. Nothing is raised, nobody waits."""

    def __init__(
        self,
        connect: Callable[[], Captures],
        served: Released,
        settings: CaptureSettings,
        log: RequestLog,
        *,
        own_paths: tuple[str, ...] = (),
        most_held: int = 64_000_000,
        now: Callable[[], float] = time.time,
        write_every_s: float = WRITE_EVERY_S,
    ) -> None:
        """Raises ``ValueError`` where the settings do not fit the version."""
        self._connect = connect
        self._manifest = served.manifest
        self._rows = Rows(served.manifest, settings, whole=bool(own_paths))
        self._paths = (INFER, *own_paths)
        self._most_held = most_held
        self._most_an_hour = settings.rows_per_hour
        self._below = round(settings.rate * 2**32)
        self._hashed = ",".join(settings.hash)
        self._log = log
        self._now = now
        self._write_every_s = write_every_s
        self._instead: tuple[Carried | None, Carried | None, str | None] | None = None
        self._waiting: queue.Queue[_Sampled] = queue.Queue(MOST_WAITING)
        self._lock = threading.Lock()
        self._lost = self._held = 0
        self._thread: threading.Thread | None = None
        # The thread's own.
        self._buffer: list[Row] = []
        self._weight = 0
        self._written_at = -write_every_s
        self._hour, self._of_hour = -1, 0
        self._environment = ""
        self._files = 0
        self._said = False

    # Told by doors

    @property
    def version(self) -> int:
        """Whose rows these are: an answer of another version is nothing to keep here."""
        return self._manifest.version

    @property
    def most_bytes(self) -> int:
        """Largest half that is worth fetching."""
        return self._most_held

    def keep(
        self,
        request_id: object,
        request: Carried | None,
        answer: Carried | None,
        context: object = None,
        *,
        own: str = "",
    ) -> None:
        """Hand a request to the thread, if it is of the sample. ``own`` names it where it has no id in it."""
        if (request is None and answer is None) or not request_id:
            return
        if crc32(str(request_id).encode()) >= self._below:
            return
        at = self._now()
        about = About(str(request_id), int(at * 1000), alias_of(context) or "", own)
        held = size_of(request) + size_of(answer)
        with self._lock:
            if self._held + held > self._most_held:
                self._lost += 1
                return
            self._held += held
        try:
            self._waiting.put_nowait(_Sampled(request, answer, about, at, held))
            if self._thread is None or not self._thread.is_alive():
                # Here and not at the start: a thread does not survive a snapshot.
                self._thread = threading.Thread(target=self._work, daemon=True)
                self._thread.start()
        except (queue.Full, RuntimeError):
            self._lose(1, held)

    def instead(self, request: Carried | None, answer: Carried | None, request_id: str | None = None) -> None:
        """Say what was asked and answered, where the event of this call only says where that lies."""
        self._instead = (request, answer, request_id)

    def forget(self) -> None:
        """Another event comes."""
        self._instead = None

    def answered(self, event: dict[str, Any], answer: dict[str, Any], context: object) -> None:
        """An HTTP call was answered, or its answer promised, which is a request without one."""
        gateway = event["requestContext"]
        if gateway.get("apiId") == DIRECT:
            return  # the release controller's check, and no caller's
        if self._instead is not None:
            request, said, request_id = self._instead
            self.keep(request_id or gateway.get("requestId"), request, said, context)
        elif gateway["http"]["method"] == "POST" and str(gateway["http"]["path"]).endswith(self._paths):
            said = answer if answer["statusCode"] == 200 else None
            self.keep(gateway.get("requestId"), event, said, context)

    # The thread

    def _lose(self, count: int, held: int = 0) -> None:
        with self._lock:
            self._lost += count
            self._held -= held

    def _work(self) -> None:
        while True:
            try:
                sampled = self._waiting.get(timeout=self._pause())
            except queue.Empty:
                self._write()
                continue
            try:
                self._take(sampled)
                if (
                    len(self._buffer) >= MOST_BUFFERED
                    or self._weight >= MOST_BUFFERED_WEIGHT
                    or self._pause() == 0
                ):
                    self._write()
            except Exception:  # noqa: BLE001 - nobody is there to hear it; the count of lost ones is written
                self._lose(1)
            finally:
                self._lose(0, sampled.held)
                del sampled  # it may be megabytes, and the next one may be hours away
                self._waiting.task_done()

    def _pause(self) -> float | None:
        """Seconds until the next file is due; ``None`` while there is nothing to write."""
        if not self._buffer:
            return None
        return max(0.0, self._written_at + self._write_every_s - time.monotonic())

    def _take(self, sampled: _Sampled) -> None:
        hour = int(sampled.at // HOUR_S)
        if hour != self._hour:
            self._write()  # a file is of one hour
            self._hour, self._of_hour = hour, 0
        if self._of_hour >= self._most_an_hour:
            return
        rows = self._rows.of(sampled.request, sampled.answer, sampled.about)
        kept = rows[: self._most_an_hour - self._of_hour]
        self._of_hour += len(kept)
        self._buffer += kept
        self._weight += sum(map(_weight, kept))

    def _write(self) -> None:
        """Write what is buffered, or count it as lost: a second attempt, and no third."""
        rows, self._buffer, self._weight = self._buffer, [], 0
        if not rows:
            return
        self._written_at = time.monotonic()
        lost = self._lost
        columns = dict(zip(self._rows.columns, zip(*rows, strict=True), strict=True))
        about = {
            contract.FORMAT_KEY: contract.FORMAT,
            contract.MODEL_KEY: self._manifest.model,
            contract.VERSION_KEY: str(self._manifest.version),
            contract.DIGEST_KEY: str(self._manifest.digest),
            contract.HASHED_KEY: self._hashed,
            contract.LOST_KEY: str(lost),
        }
        data = parquet.write(columns, about)
        if not self._environment:
            self._environment = os.urandom(8).hex()  # not at the start: snapshots are copied
        when = datetime.fromtimestamp(self._hour * HOUR_S, UTC)
        key = contract.captured_key(
            self._manifest.model, self._manifest.version, when, self._environment, self._files
        )
        self._files += 1
        for attempt in (1, 2):
            try:
                self._connect().keep(key, data)
            except Exception as error:  # noqa: BLE001 - the connection of a thawed environment is often dead
                if attempt == 2:
                    self._lose(len(rows))
                    self._say(error)
            else:
                self._lose(-lost)
                return

    def _say(self, error: Exception) -> None:
        """Once in an environment: a bucket that refuses one file refuses them all."""
        if not self._said:
            self._said = True
            self._log.aside({"capture": "failed", "why": str(error)})

    def drain(self) -> None:
        """Wait until all that was handed over is written or buffered. For tests; a function never waits."""
        self._waiting.join()


def _weight(row: Row) -> int:
    """How many values a row holds; four letters of a text count as one."""
    return sum(
        1 + len(value) // 4 if isinstance(value, str) else 1
        for cell in row
        if isinstance(cell, list)
        for value in cell
    )
