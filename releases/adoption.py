"""Adoption: something answers already, outside of any stage, and its model becomes a version here.

Nothing of it is changed or stopped: it is asked, and its own answers become the golden sample of the version
that is published from its model's files. So the release that follows checks this stage's answers against
those of what ran before (law 5), and files that are not the model it runs are refused before anything is
stored.

Where callers reach it through an HTTP API of their own, ``take_over`` then leads that API's integrations to
this stage's alias, one call each, after the release: whoever calls is answered before, during and after. Each
integration carries where it led before, so ``give_back`` needs nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from model_store.contract.errors import InvalidNameError, SwitchyardError
from model_store.contract.events import http_event, read_answer
from model_store.contract.golden import differences
from model_store.contract.manifest import Golden
from model_store.contract.tensors import TensorData
from releases.endpoints import ADOPTED
from releases.errors import NotDeployedError, ReleaseError, UnfitVersionError
from releases.ports import LATEST, Functions

ADOPTED_CODE = "adopted_code"
"""Lineage: the digest of that function's code as Lambda reports it, or the endpoint's configuration."""

BEFORE = "before Switchyard: "
"""What the description of an integration begins with that leads here, then where it led."""

_FUNCTION = re.compile(
    r"(?:(?P<arn>arn:[a-z-]+:lambda:[a-z0-9-]+:\d{12}:function:))?"
    r"(?P<name>[A-Za-z0-9_-]{1,64})(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]{1,128}))?"
)
_MOST_DIFFERENCES = 3
_OURS = re.compile(r"^(\$default|[A-Z]+ /(v2(/.*)?|\{[a-zA-Z0-9_]+\+\}))$")
"""Routes whose every request has a path of the protocol, or may have."""

_MODEL = re.compile(r"/v2/models/([^/{]+)")


class Running(Protocol):
    """What answers already. It is asked and never changed."""

    @property
    def facts(self) -> Mapping[str, str]:
        """What a version's lineage says of it."""

    def outputs(self, golden: Golden) -> Sequence[Mapping[str, Any]]:
        """What it gives for the inputs of ``golden``, as tensors of a V2 answer. Raises ``ReleaseError``."""


@dataclass(frozen=True, slots=True)
class Plain:
    """How a function is asked that speaks no protocol: one key in, one key out, nested lists of numbers."""

    given: str
    gives: str

    @classmethod
    def parse(cls, text: str) -> Plain:
        given, equals, gives = text.partition("=")
        if not (given and equals and gives):
            raise InvalidNameError(
                f"`{text}` does not say what it takes and gives",
                hint='Write two keys, for example `rows=scores` for `{"rows": …}` and `{"scores": …}`.',
            )
        return cls(given, gives)


class RunningFunction:
    """A Lambda function, by the alias or version that its callers use."""

    def __init__(self, functions: Functions, written: str, model: str, *, plain: Plain | None = None) -> None:
        found = _FUNCTION.fullmatch(written)
        if found is None:
            raise InvalidNameError(
                f"`{written}` names no Lambda function",
                hint="Write a function's name or ARN, with the alias that callers use: `lambda:scores:prod`.",
            )
        self._functions = functions
        self.name = found["name"]
        self._function = f"{found['arn'] or ''}{self.name}"
        self.qualifier = found["qualifier"] or LATEST
        self.model = model
        self._plain = plain

    @property
    def facts(self) -> Mapping[str, str]:
        config = self._functions.config(self._function, self._at)
        if config is None:
            raise NotDeployedError(
                f"there is no Lambda function `{self._function}:{self.qualifier}`",
                hint="Name one that callers reach today.",
            )
        where = f"lambda:{self._function}:{self.qualifier}"
        return {ADOPTED: where, ADOPTED_CODE: config.code_sha256}

    @property
    def speaks_v2(self) -> bool:
        """Whether its callers could be answered by this stage without a word changed."""
        return self._plain is None

    @property
    def _at(self) -> str | None:
        return None if self.qualifier == LATEST else self.qualifier

    def outputs(self, golden: Golden) -> Sequence[Mapping[str, Any]]:
        return self._v2(golden) if self._plain is None else self._said(golden, self._plain)

    def _v2(self, golden: Golden) -> Sequence[Mapping[str, Any]]:
        body = json.dumps({"inputs": [tensor.as_json() for tensor in golden.inputs]}).encode()
        answer = self._ask(http_event("POST", f"/v2/models/{self.model}/infer", body))
        try:
            status, _, content = read_answer(answer)
            said = json.loads(content)
            if status == 200:
                return list(said["outputs"])
        except (SwitchyardError, ValueError, KeyError, TypeError) as error:
            raise UnfitVersionError(
                f"`{self.name}` does not answer in the protocol: {type(error).__name__}",
                hint='If it takes `{"rows": …}` and gives `{"scores": …}`, say `--plain rows=scores`.',
            ) from error
        raise UnfitVersionError(
            f"`{self.name}` answered {status}: {str(said)[:300]}",
            hint="Give inputs that it accepts with `--sample FILE`.",
        )

    def _said(self, golden: Golden, plain: Plain) -> Sequence[Mapping[str, Any]]:
        if len(golden.inputs) != 1 or len(golden.outputs) != 1:
            raise UnfitVersionError(
                f"`{self.name}` is asked with one key, and the model has {len(golden.inputs)} inputs and "
                f"{len(golden.outputs)} outputs",
                hint="Let it answer the Open Inference Protocol V2 first, which names every tensor.",
            )
        (given,), (wanted,) = golden.inputs, golden.outputs
        answer = self._ask({plain.given: _nested(list(given.data), given.shape)})
        if not isinstance(answer, dict) or plain.gives not in answer:
            raise UnfitVersionError(
                f"`{self.name}` gave no `{plain.gives}`: {str(answer)[:300]}",
                hint="Name the key that holds its answer: `--plain TAKES=GIVES`.",
            )
        return [{**wanted.as_json(), "data": answer[plain.gives]}]

    def _ask(self, event: dict[str, Any]) -> Any:
        ran = self._functions.invoke(self._function, self.qualifier, event)
        if ran.error is not None:
            raise UnfitVersionError(
                f"`{self.name}` failed on the sample: {ran.error}",
                hint="Give inputs that it accepts with `--sample FILE`.",
                evidence=ran.log,
            )
        return ran.payload


class AskedEndpoint(Protocol):
    """A SageMaker endpoint of somebody else's. Every foreign error is translated.

    Laws, checked in ``tests/contract/test_asked_endpoint.py``: one that is not there is ``NotDeployedError``;
    what its container refuses is ``UnfitVersionError`` with its words.
    """

    def configuration(self) -> str:
        """The name of the configuration that it has."""

    def ask(self, body: bytes) -> bytes:
        """What its container answers to one JSON request."""


class RunningEndpoint:
    """A SageMaker endpoint. Its container has to speak the protocol: a gateway passes bytes on."""

    def __init__(self, name: str, endpoint: AskedEndpoint) -> None:
        self.name = name
        self._endpoint = endpoint

    @property
    def facts(self) -> Mapping[str, str]:
        return {ADOPTED: f"sagemaker:{self.name}", ADOPTED_CODE: self._endpoint.configuration()}

    def outputs(self, golden: Golden) -> Sequence[Mapping[str, Any]]:
        body = json.dumps({"inputs": [tensor.as_json() for tensor in golden.inputs]}).encode()
        try:
            return list(json.loads(self._endpoint.ask(body))["outputs"])
        except (ValueError, KeyError, TypeError) as error:
            raise UnfitVersionError(
                f"the endpoint `{self.name}` does not answer in the protocol: {type(error).__name__}",
                hint="What stands behind a gateway has to speak the Open Inference Protocol V2.",
            ) from error


def own_answers(running: Running, golden: Golden) -> Golden:
    """``golden`` with the answers of what runs already, which must be what the files give.

    Raises ``UnfitVersionError`` with the first differences where they are not. Asks and changes nothing.
    """
    outputs = running.outputs(golden)
    found = differences(golden, outputs)
    if found:
        raise UnfitVersionError(
            f"these files are not the model that `{running.facts[ADOPTED]}` runs: "
            f"{'; '.join(found[:_MOST_DIFFERENCES])}",
            hint="Give the files that it was built from, or a sample on which both agree.",
        )
    by_name = {str(output["name"]): output for output in outputs}
    answers = tuple(
        TensorData(tensor.name, tensor.datatype, tensor.shape, tuple(_flat(by_name[tensor.name]["data"])))
        for tensor in golden.outputs
    )
    return replace(golden, outputs=answers)


@dataclass(frozen=True, slots=True)
class Integration:
    """Where some routes of an HTTP API lead. ``form`` is the version of the events that it sends."""

    id: str
    uri: str
    routes: tuple[str, ...]
    note: str = ""
    form: str = "2.0"


class Fronts(Protocol):
    """HTTP APIs that are not ours, as far as an adoption leads them. Every foreign error is translated.

    Laws, checked in ``tests/contract/test_fronts.py``: what is led reads back, with its note; others stay
    where they are; leading twice is leading once, and so is letting in; what is not there is
    ``NotDeployedError``.
    """

    def integrations(self, api: str) -> list[Integration]: ...

    def lead(self, api: str, integration: str, *, uri: str, note: str) -> None:
        """Send the routes of one integration to ``uri`` from the next request on."""

    def let_in(self, api: str, function: str, alias: str) -> None:
        """Let the API call an alias of a function of this stage."""


def take_over(
    fronts: Fronts, api: str, running: RunningFunction, *, function: str, alias: str
) -> list[Integration]:
    """Lead what leads to ``running`` to ``alias`` of ``function``; return what was led. Safe to repeat.

    Refused, before anything moved, unless this stage answers every path of those routes.
    """
    # Whoever names an alias adopts that: callers of another alias of the function stay where they are.
    at = running.name if running.qualifier == LATEST else f"{running.name}:{running.qualifier}"
    leading = [item for item in fronts.integrations(api) if _names(item.uri, at)]
    if not leading:
        if any(_names(item.uri, function) for item in fronts.integrations(api)):
            return []
        raise NotDeployedError(
            f"no route of the API `{api}` leads to `{at}`",
            hint="Name the HTTP API that callers use: `aws apigatewayv2 get-apis` lists them.",
        )
    for item in leading:
        foreign = [route for route in item.routes if not _is_ours(route, running.model)]
        if foreign or item.form != "2.0" or not running.speaks_v2:
            why = f"its route `{foreign[0]}` is no path of this model" if foreign else "it speaks otherwise"
            raise ReleaseError(
                f"callers of `{api}` could not be answered by this stage: {why}",
                hint="Leave `--api` out: both answer, and callers move to the stage's address one by one.",
            )
    fronts.let_in(api, function, alias)
    return [_lead(fronts, api, item, running.name, f"{function}:{alias}") for item in leading]


def _is_ours(route: str, model: str) -> bool:
    """Whether an alias of ``model`` answers the route: it is the protocol's, and names no other model."""
    named = _MODEL.search(route)
    return bool(_OURS.fullmatch(route)) and (named is None or named[1] == model)


def give_back(fronts: Fronts, api: str, *, function: str) -> list[Integration]:
    """Lead every integration that was taken over for ``function`` to where it led before."""
    led = []
    for item in fronts.integrations(api):
        if _names(item.uri, function) and item.note.startswith(BEFORE):
            fronts.lead(api, item.id, uri=item.note.removeprefix(BEFORE), note="")
            led.append(item)
    return led


def _lead(fronts: Fronts, api: str, item: Integration, name: str, target: str) -> Integration:
    """The function's part of the address is changed and nothing else: account, region and form stay."""
    uri = re.sub(rf":function:{re.escape(name)}(:[A-Za-z0-9_$-]+)?", f":function:{target}", item.uri)
    fronts.lead(api, item.id, uri=uri, note=f"{BEFORE}{item.uri}")
    return item


def _names(uri: str, function: str) -> bool:
    return re.search(rf":function:{re.escape(function)}(?![A-Za-z0-9_-])", uri) is not None


def _nested(data: list[Any], shape: tuple[int, ...]) -> Any:
    if len(shape) <= 1:
        return data if shape else data[0]
    size = len(data) // shape[0] if shape[0] else 0
    return [_nested(data[at * size : (at + 1) * size], shape[1:]) for at in range(shape[0])]


def _flat(data: Any) -> list[Any]:
    return [value for item in data for value in _flat(item)] if isinstance(data, list | tuple) else [data]
