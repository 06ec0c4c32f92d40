"""The two clients: the same calls, performed by blocking and by awaiting.

Safe to share between threads or tasks; close it, or use it in ``with``, to let the connections go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from switchyard_client.arrays import Array
from switchyard_client.auth import Auth, AuthWord, auth_of, with_key
from switchyard_client.calls import Calls, Job, ModelMetadata, ServerMetadata, explain_parameters
from switchyard_client.errors import ClientError, TimedOutError, UnreachableError, UnreadableAnswerError
from switchyard_client.exchange import Call, Reply, Retries, Send, Wait
from switchyard_client.messages import Result

TIMEOUT_S = 35.0
"""An HTTP API gives up after 30 seconds; the client waits a little longer, to hear it say so."""

T = TypeVar("T")


class Client:
    """Calls models at one address, numpy in and numpy out.

    ``binary`` is ``None`` to choose by size and by what the server can, ``True`` or ``False`` to insist.
    Requests that Lambda would not carry go through S3 by themselves where the model allows it. Passing
    failures (429, 5xx, broken connections) are repeated as ``retries`` says; every call may be repeated.
    ``api_key`` is for a REST API that knows its callers by keys.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: Auth | AuthWord = "none",
        api_key: str | Callable[[], str] | None = None,
        alias: str = "live",
        binary: bool | None = None,
        retries: Retries | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._calls = Calls(url, alias=alias, binary=binary, retries=retries or Retries())
        self._auth = with_key(auth_of(auth), api_key)
        self._timeout_s = timeout_s
        self._http = httpx.Client(transport=transport)

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: int | str | None = None,
        outputs: Sequence[str] | None = None,
        id: str | None = None,  # noqa: A002 - the protocol's own word
        parameters: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> Result:
        """Ask ``model`` and return its outputs; ``version`` insists on one, ``outputs`` on some."""
        call = self._calls.infer(
            model,
            inputs,
            version=version,
            outputs=outputs,
            id_=id,
            parameters=parameters,
            timeout_s=timeout_s,
        )
        return self._perform(call)

    def explain(
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: int | str | None = None,
        output: str | None = None,
        target: int | None = None,
        baseline: float = 0,
        window: int | None = None,
        method: str | None = None,
        steps: int | None = None,
        timeout_s: float | None = None,
    ) -> Result:
        """What the answer to one row hangs on: by input, in its shape, what each value was worth.

        ``target`` counts the values of ``output``, row-major; else it is the largest of the first output of
        floats. ``method`` is ``occlusion``, where parts of ``window`` neighbours are put to ``baseline``, or
        on endpoints of torch ``integrated_gradients``, added up in ``steps`` from it. For models whose
        catalog has ``explain = true``; others answer that there is no such path.
        """
        call = self._calls.explain(
            model,
            inputs,
            version=version,
            parameters=explain_parameters(output, target, baseline, window, method, steps),
            timeout_s=timeout_s,
        )
        return self._perform(call)

    def submit(
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: int | str | None = None,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> Job:
        """Let ``model`` answer later; ``result`` fetches what came of it. Submitting twice makes two jobs."""
        call = self._calls.submit(
            model, inputs, version=version, outputs=outputs, parameters=parameters, timeout_s=timeout_s
        )
        return self._perform(call)

    def result(self, job: Job, *, wait_s: float = 0.0) -> Result:
        """What came of a job, waited for at most so long. Raises ``StillWaitingError`` if nothing did."""
        return self._perform(self._calls.result(job, wait_s=wait_s))

    def metadata(self, model: str, *, version: int | str | None = None) -> ModelMetadata:
        """What a model takes, what it gives, and which version it is."""
        return self._perform(self._calls.metadata(model, version))

    def server(self) -> ServerMetadata:
        """What the server is, and which extensions of the protocol it speaks."""
        return self._perform(self._calls.server())

    def is_live(self) -> bool:
        """Whether the server runs. Asked once, not repeated."""
        return self._perform(self._calls.live())

    def is_ready(self, model: str | None = None, *, version: int | str | None = None) -> bool:
        """Whether a model can answer now, or every model of the server. Asked once, not repeated."""
        return self._perform(self._calls.ready(model, version))

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _perform(self, call: Call[T]) -> T:
        outcome: Reply | ClientError | None = None
        while True:
            try:
                step = call.throw(outcome) if isinstance(outcome, ClientError) else call.send(outcome)
            except StopIteration as done:
                result: T = done.value
                return result
            if isinstance(step, Wait):
                time.sleep(step.seconds)
                outcome = None
                continue
            request = build(self._http, step, self._auth, self._timeout_s)
            try:
                with translated(step.url):
                    outcome = _reply(self._http.send(request))
            except ClientError as error:
                outcome = error


class AsyncClient:
    """``Client`` for asyncio and trio: the same calls, awaited."""

    def __init__(
        self,
        url: str,
        *,
        auth: Auth | AuthWord = "none",
        api_key: str | Callable[[], str] | None = None,
        alias: str = "live",
        binary: bool | None = None,
        retries: Retries | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._calls = Calls(url, alias=alias, binary=binary, retries=retries or Retries())
        self._auth = with_key(auth_of(auth), api_key)
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(transport=transport)

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: int | str | None = None,
        outputs: Sequence[str] | None = None,
        id: str | None = None,  # noqa: A002 - the protocol's own word
        parameters: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> Result:
        """Ask ``model`` and return its outputs; ``version`` insists on one, ``outputs`` on some."""
        call = self._calls.infer(
            model,
            inputs,
            version=version,
            outputs=outputs,
            id_=id,
            parameters=parameters,
            timeout_s=timeout_s,
        )
        return await self._perform(call)

    async def explain(
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: int | str | None = None,
        output: str | None = None,
        target: int | None = None,
        baseline: float = 0,
        window: int | None = None,
        method: str | None = None,
        steps: int | None = None,
        timeout_s: float | None = None,
    ) -> Result:
        """What the answer to one row hangs on: by input, in its shape, what each value was worth.

        ``target`` counts the values of ``output``, row-major; else it is the largest of the first output of
        floats. ``method`` is ``occlusion``, where parts of ``window`` neighbours are put to ``baseline``, or
        on endpoints of torch ``integrated_gradients``, added up in ``steps`` from it. For models whose
        catalog has ``explain = true``; others answer that there is no such path.
        """
        call = self._calls.explain(
            model,
            inputs,
            version=version,
            parameters=explain_parameters(output, target, baseline, window, method, steps),
            timeout_s=timeout_s,
        )
        return await self._perform(call)

    async def submit(
        self,
        model: str,
        inputs: Mapping[str, Array],
        *,
        version: int | str | None = None,
        outputs: Sequence[str] | None = None,
        parameters: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> Job:
        """Let ``model`` answer later; ``result`` fetches what came of it. Submitting twice makes two jobs."""
        call = self._calls.submit(
            model, inputs, version=version, outputs=outputs, parameters=parameters, timeout_s=timeout_s
        )
        return await self._perform(call)

    async def result(self, job: Job, *, wait_s: float = 0.0) -> Result:
        """What came of a job, waited for at most so long. Raises ``StillWaitingError`` if nothing did."""
        return await self._perform(self._calls.result(job, wait_s=wait_s))

    async def metadata(self, model: str, *, version: int | str | None = None) -> ModelMetadata:
        """What a model takes, what it gives, and which version it is."""
        return await self._perform(self._calls.metadata(model, version))

    async def server(self) -> ServerMetadata:
        """What the server is, and which extensions of the protocol it speaks."""
        return await self._perform(self._calls.server())

    async def is_live(self) -> bool:
        """Whether the server runs. Asked once, not repeated."""
        return await self._perform(self._calls.live())

    async def is_ready(self, model: str | None = None, *, version: int | str | None = None) -> bool:
        """Whether a model can answer now, or every model of the server. Asked once, not repeated."""
        return await self._perform(self._calls.ready(model, version))

    async def close(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _perform(self, call: Call[T]) -> T:
        import anyio  # comes with httpx, which runs on it

        outcome: Reply | ClientError | None = None
        while True:
            try:
                step = call.throw(outcome) if isinstance(outcome, ClientError) else call.send(outcome)
            except StopIteration as done:
                result: T = done.value
                return result
            if isinstance(step, Wait):
                await anyio.sleep(step.seconds)
                outcome = None
                continue
            request = build(self._http, step, self._auth, self._timeout_s)
            try:
                with translated(step.url):
                    outcome = _reply(await self._http.send(request))
            except ClientError as error:
                outcome = error


def build(http: httpx.Client | httpx.AsyncClient, step: Send, auth: Auth, timeout_s: float) -> httpx.Request:
    """The HTTP request of a step, with the caller's proof where it belongs.

    Raises ``CredentialsError`` to the caller, not into the call: no other attempt would go better.
    """
    headers = {name.lower(): value for name, value in step.headers.items()}
    if step.authorised:
        headers = auth.headers(step.method, step.url, headers, step.body)
    with translated(step.url):
        return http.build_request(
            step.method,
            step.url,
            content=step.body or None,
            headers=headers,
            timeout=step.timeout_s or timeout_s,
        )


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn every error of httpx into one of ours; no address in it shows what was signed into its query."""
    shown = url.partition("?")[0]
    try:
        yield
    except httpx.TimeoutException as error:
        raise TimedOutError(
            f"`{shown}` did not answer in time ({type(error).__name__})",
            hint="Give `timeout_s`, send fewer rows at once, or look at the model's `timeout_s`.",
        ) from error
    except (httpx.DecodingError, httpx.TooManyRedirects) as error:
        raise UnreadableAnswerError(f"`{shown}` answered what cannot be read: {error}") from error
    except (httpx.RequestError, httpx.InvalidURL) as error:
        raise UnreachableError(
            f"`{shown}` did not answer: {error or type(error).__name__}",
            hint="Check the address and the network.",
        ) from error


def _reply(response: httpx.Response) -> Reply:
    return Reply(
        response.status_code,
        {name.lower(): value for name, value in response.headers.items()},
        response.content,
    )
