"""An endpoint on SageMaker, asked over one kept connection that signs for itself.

SageMaker hands ``Content-Type`` and its own custom attributes through, and no other header. So the length of
the JSON travels in the content type, as Triton's SageMaker images have it, and the endpoint says who it is in
the attributes (``functions.endpoint.http``).

Sources: SageMaker Runtime API reference, ``InvokeEndpoint``; SageMaker API reference, ``DescribeEndpoint``.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping

from functions.gateway.adapters.connection import Connection, Reply
from functions.gateway.adapters.signature import Signer, credentials_from
from functions.gateway.ports import Patience, Places, Said, ThrottledError, asleep
from functions.protocol.errors import CloudUnavailableError, NotReadyError, TooLargeError
from functions.protocol.trace import ATTRIBUTES, CALL, EXPLAIN_CALL, TRACEPARENT, VARIABLE, traceparent
from model_store.contract.environment import COMPONENT

BINARY_TYPE = "application/vnd.sagemaker-triton.binary+json;json-header-size="

BELIEVED_S = 5.0
"""How long "it is in service" is believed. Asking is a call to SageMaker's control plane, which refuses whom
asks too often, and readiness checks come from everywhere."""

_SIZE = re.compile(r"json-header-size=(\d{1,15})$")

_ANSWERING = frozenset({"InService", "Updating", "SystemUpdating", "RollingBack"})
"""States in which an endpoint answers: autoscaling and patching are updates too."""

_THROTTLED = frozenset({"ThrottlingException", "ServiceUnavailable", "ModelNotReadyException"})
_MISSING = frozenset({"ValidationError", "ValidationException"})

_ASLEEP = "inference component has no capacity"
"""Part of SageMaker's sentence for a component without copies, as those who met it report it."""


class SageMakerEndpoint:
    """``functions.gateway.ports.Endpoint`` on SageMaker."""

    def __init__(
        self,
        name: str,
        *,
        runtime: Connection,
        control: Connection,
        signer: Signer,
        component: bool = False,
        clock: Callable[[], float] = time.monotonic,
        trace: Callable[[], str | None] = lambda: None,
    ) -> None:
        """``trace`` says in which trace the request of the moment is, as X-Ray writes it."""
        self._name = name
        self._trace = trace
        self._runtime = runtime
        self._control = control
        self._signer = signer
        # The component of an endpoint that has one carries the endpoint's name.
        self._component = {"x-amzn-sagemaker-inference-component": name} if component else {}
        self._clock = clock
        self._ready_until = 0.0

    @classmethod
    def from_environment(cls, name: str, environ: Mapping[str, str]) -> SageMakerEndpoint:
        """Where a Lambda function finds SageMaker: its own region, unless the environment says otherwise."""
        region = environ["AWS_REGION"]
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        named = environ.get("AWS_ENDPOINT_URL")
        ca_bundle = environ.get("AWS_CA_BUNDLE")
        return cls(
            name,
            runtime=Connection(named or f"https://runtime.sagemaker.{region}.{suffix}", ca_bundle=ca_bundle),
            control=Connection(named or f"https://api.sagemaker.{region}.{suffix}", ca_bundle=ca_bundle),
            signer=Signer("sagemaker", region, credentials_from(environ)),
            trace=lambda: environ.get(VARIABLE),
            component=environ.get(COMPONENT) == "on",
        )

    def infer(self, body: bytes, json_length: int | None, *, seconds: float, explain: bool = False) -> Said:
        path = f"/endpoints/{self._name}/invocations"
        attributes = self._attributes(explain=explain)
        headers = {"content-type": _content_type(json_length), **self._component, **attributes}
        reply = self._signed(self._runtime, path, body, headers, seconds)
        if reply.status == 200:
            return Said(200, reply.body, _length_in(reply), _claims_in(reply))
        return self._refused(reply)

    def begin(
        self, payload: bytes | str, json_length: int | None, *, name: str, patience: Patience, seconds: float
    ) -> Places:
        """Source: SageMaker Runtime API reference, ``InvokeEndpointAsync``."""
        headers = {
            **self._attributes(),
            "x-amzn-sagemaker-content-type": _content_type(json_length),
            "x-amzn-sagemaker-inference-id": name,
            "x-amzn-sagemaker-requestttlseconds": str(patience.expires_s),
            "x-amzn-sagemaker-invocationtimeoutseconds": str(patience.timeout_s),
        }
        if isinstance(payload, str):
            headers["x-amzn-sagemaker-inputlocation"] = payload
        body = b"" if isinstance(payload, str) else payload
        path = f"/endpoints/{self._name}/async-invocations"
        reply = self._signed(self._runtime, path, body, headers, seconds)
        if reply.status != 202:
            self._refused(reply)
        try:
            return Places(
                reply.headers["x-amzn-sagemaker-outputlocation"],
                reply.headers["x-amzn-sagemaker-failurelocation"],
            )
        except KeyError as error:
            raise CloudUnavailableError("SageMaker does not say where the answer is going to lie") from error

    def _attributes(self, *, explain: bool = False) -> dict[str, str]:
        """What is asked and where it belongs to, for a container that knows; SageMaker passes it on."""
        parent = traceparent(self._trace())
        said = [f"{CALL}={EXPLAIN_CALL}"] if explain else []
        said += [] if parent is None else [f"{TRACEPARENT}={parent}"]
        return {ATTRIBUTES: ";".join(said)} if said else {}

    def must_be_ready(self, *, seconds: float) -> None:
        if self._clock() < self._ready_until:
            return
        asked = json.dumps({"EndpointName": self._name}).encode()
        headers = {
            "content-type": "application/x-amz-json-1.1",
            "x-amz-target": "SageMaker.DescribeEndpoint",
        }
        reply = self._signed(self._control, "/", asked, headers, seconds)
        if reply.status != 200:
            self._refused(reply)
        status = _document(reply).get("EndpointStatus")
        if status not in _ANSWERING:
            raise NotReadyError(f"the endpoint is {status}")
        self._ready_until = self._clock() + BELIEVED_S

    def close(self) -> None:
        self._runtime.close()
        self._control.close()

    def _signed(
        self, to: Connection, path: str, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> Reply:
        signed = self._signer.headers("POST", to.host, to.path + path, body, headers)
        return to.send("POST", path, body, signed, seconds=seconds)

    def _refused(self, reply: Reply) -> Said:
        """The model's own answer, if it is one; else what SageMaker's refusal means."""
        document = _document(reply)
        code = _code(reply, document)
        original = document.get("OriginalStatusCode")
        if code == "ModelError" and isinstance(original, int):
            return Said(original, str(document.get("OriginalMessage") or "").encode())
        if code in _THROTTLED:
            raise ThrottledError(f"SageMaker answered {code}")
        if reply.status == 413 or "RequestEntityTooLarge" in code:
            raise TooLargeError("SageMaker does not carry a request of this size")
        said = str(document.get("message") or document.get("Message") or "")
        if code in _MISSING and _ASLEEP in said.lower():
            raise asleep()
        if code in _MISSING and ("not found" in said.lower() or "could not find" in said.lower()):
            raise NotReadyError("the endpoint of this version does not exist")
        raise CloudUnavailableError(f"SageMaker answered {code or reply.status}")


def _content_type(json_length: int | None) -> str:
    return "application/json" if json_length is None else f"{BINARY_TYPE}{json_length}"


def _length_in(reply: Reply) -> int | None:
    found = _SIZE.search(reply.headers.get("content-type", ""))
    return int(found[1]) if found else None


def _claims_in(reply: Reply) -> dict[str, str]:
    """``name=value;name=value``, as the endpoint writes it."""
    parts = (part.partition("=") for part in reply.headers.get(ATTRIBUTES, "").split(";"))
    return {name.strip().lower(): value for name, _, value in parts if value}


def _document(reply: Reply) -> dict[str, object]:
    try:
        document = json.loads(reply.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _code(reply: Reply, document: Mapping[str, object]) -> str:
    """The error's name, wherever the protocol of the moment puts it: a header, or a member of the body."""
    code = reply.headers.get("x-amzn-errortype") or document.get("__type") or document.get("code") or ""
    return str(code).split(":")[0].rsplit("#", 1)[-1]
