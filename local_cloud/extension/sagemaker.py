"""SageMaker endpoints: made, looked at, asked and deleted, each variant a process of the real container's
code.

Stock: there is no SageMaker, neither its API nor its resource types. AWS: SageMaker API reference
(``CreateModel``, ``CreateEndpointConfig``, ``CreateEndpoint``, ``UpdateEndpoint`` and their ``Describe``,
``List`` and ``Delete``), SageMaker Runtime API reference (``InvokeEndpoint``, ``InvokeEndpointAsync``),
botocore's models of both for names, limits and error shapes. An endpoint is Creating until its container
answers ``/ping``, or Failed with SageMaker's sentence. Not found is ``ValidationException`` of the control
plane and ``ValidationError`` of the runtime. An update that SageMaker takes back leaves the endpoint
InService with the old configuration and no reason (hashicorp/terraform-provider-aws#48997).

One process stands for all instances of a variant or all copies of a component, and there is none while it has
none. Not there: several containers in one model, adapters, serverless variants, data capture.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import random
import re
import threading
import time
import uuid
from typing import Any

import urllib3
from ministack import app
from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region
from ministack.services import cloudwatch

from local_cloud.extension import bad_day, containers, jobs
from local_cloud.extension.endpoint_queue import EndpointQueue, Waiting
from local_cloud.extension.services import Answer, RefusedError, answer, arn, refusal, register

MAX_BODY_BYTES = 6_291_456
"""botocore, sagemaker-runtime, ``BodyBlob``."""

MAX_INLINE_ASYNC_BYTES = 128_000
ANSWER_S = 60.0
STARTUP_S = 240.0
"""``ContainerStartupHealthCheckTimeoutInSeconds``, unless the variant says otherwise: 4 minutes."""

_INVOCATION = re.compile(r"/endpoints/([^/]+)/(async-)?invocations")
_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
_POLL_S = 0.05
_NOT_DELETED_YET = ("Creating", "Updating", "Deleting")

models: Any = AccountRegionScopedDict()
configs: Any = AccountRegionScopedDict()
endpoints: Any = AccountRegionScopedDict()
components: Any = AccountRegionScopedDict()

_Key = tuple[str, str, str, str]
_containers: dict[_Key, containers.Container] = {}
_queues: dict[tuple[str, str, str], EndpointQueue] = {}
_lock = threading.RLock()
_pool = urllib3.PoolManager(maxsize=64, retries=False)


# ---------------------------------------------------------------- control plane


def control(action: str, request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one call of the control plane. Raises ``RefusedError``."""
    made = {
        "CreateModel": _create_model,
        "CreateEndpointConfig": _create_config,
        "CreateEndpoint": _create_endpoint,
        "UpdateEndpoint": _update_endpoint,
        "UpdateEndpointWeightsAndCapacities": _update_capacities,
        "DeleteEndpoint": _delete_endpoint,
        "CreateInferenceComponent": _create_component,
        "UpdateInferenceComponentRuntimeConfig": _update_copies,
        "DeleteInferenceComponent": _delete_component,
    }
    if action in made:
        return made[action](request)
    if action in jobs.ACTIONS:
        return jobs.control(action, request)
    for kind, (store, key, noun) in _KINDS.items():
        if action == f"Describe{kind}":
            return dict(_found(store, request[key], noun))
        if action == f"Delete{kind}":
            _found(store, request[key], noun)
            del store[request[key]]
            return {}
        if action == f"List{kind}s":
            return {f"{kind}s": _listed(store, request)}
    raise RefusedError("UnknownOperationException", f"SageMaker's {action} is not emulated")


def _listed(store: Any, request: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = str(request.get("NameContains") or "")
    return [dict(item) for name, item in sorted(store.items()) if wanted in name]


def _found(store: Any, name: str, noun: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = store[name]
    except KeyError:
        raise RefusedError("ValidationException", f'Could not find {noun} "{_arn(noun, name)}".') from None
    return found


def _arn(noun: str, name: str) -> str:
    return arn("sagemaker", f"{noun.replace(' ', '-').replace('uration', '')}/{name.lower()}")


def _must_be_new(store: Any, name: str, noun: str) -> None:
    if not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name):
        raise RefusedError("ValidationException", f"1 validation error detected: Value '{name}' is no name")
    if name in store:
        raise RefusedError(
            "ValidationException", f'Cannot create already existing {noun} "{_arn(noun, name)}".'
        )


def _create_model(request: dict[str, Any]) -> dict[str, Any]:
    name = request["ModelName"]
    _must_be_new(models, name, "model")
    models[name] = {**request, "ModelArn": _arn("model", name), "CreationTime": time.time()}
    return {"ModelArn": models[name]["ModelArn"]}


def _create_config(request: dict[str, Any]) -> dict[str, Any]:
    name, noun = request["EndpointConfigName"], "endpoint configuration"
    _must_be_new(configs, name, noun)
    for variant in request["ProductionVariants"]:
        if "ModelName" in variant:
            _found(models, variant["ModelName"], "model")
    configs[name] = {**request, "EndpointConfigArn": _arn(noun, name), "CreationTime": time.time()}
    return {"EndpointConfigArn": configs[name]["EndpointConfigArn"]}


def _create_endpoint(request: dict[str, Any]) -> dict[str, Any]:
    name = request["EndpointName"]
    _must_be_new(endpoints, name, "endpoint")
    config = _found(configs, request["EndpointConfigName"], "endpoint configuration")
    endpoints[name] = {
        "EndpointName": name,
        "EndpointArn": _arn("endpoint", name),
        "EndpointConfigName": request["EndpointConfigName"],
        "EndpointStatus": "Creating",
        "CreationTime": time.time(),
        "LastModifiedTime": time.time(),
    }
    _in_background(_bring_up, name, config)
    return {"EndpointArn": endpoints[name]["EndpointArn"]}


def _update_endpoint(request: dict[str, Any]) -> dict[str, Any]:
    name = request["EndpointName"]
    endpoint = _found(endpoints, name, "endpoint")
    config = _found(configs, request["EndpointConfigName"], "endpoint configuration")
    if endpoint["EndpointStatus"] in _NOT_DELETED_YET:
        raise RefusedError("ValidationException", f'Cannot update in-progress endpoint "{name}".')
    endpoint["EndpointStatus"] = "Updating"
    if random.random() < bad_day.today().endpoint_undo_rate:  # noqa: S311
        _in_background(_seem_to_update, name)
    else:
        _in_background(_bring_up, name, config)
    return {"EndpointArn": endpoint["EndpointArn"]}


def _update_capacities(request: dict[str, Any]) -> dict[str, Any]:
    endpoint = _found(endpoints, request["EndpointName"], "endpoint")
    for asked in request["DesiredWeightsAndCapacities"]:
        for variant in endpoint.get("ProductionVariants", []):
            if variant["VariantName"] == asked["VariantName"] and "DesiredInstanceCount" in asked:
                set_count(endpoint, variant, asked["DesiredInstanceCount"])
    return {"EndpointArn": endpoint["EndpointArn"]}


def set_count(endpoint: dict[str, Any], variant: dict[str, Any], count: int) -> None:
    """Let a variant have so many instances. From none on its process is started, which takes its time."""
    name, before = endpoint["EndpointName"], variant["CurrentInstanceCount"]
    variant["DesiredInstanceCount"] = count
    if before == 0 and count > 0:
        endpoint["EndpointStatus"] = "Updating"
        _in_background(_wake, name, variant, count)
        return
    variant["CurrentInstanceCount"] = count
    if count == 0 and before > 0:
        for container in _taken_down(name):
            threading.Thread(target=container.stop, daemon=True).start()


def _wake(name: str, variant: dict[str, Any], count: int) -> None:
    """Start what an endpoint without instances had; where that fails it has none, and says nothing."""
    time.sleep(bad_day.today().endpoint_creating_s)
    endpoint = endpoints.get(name)
    config = configs.get(endpoint["EndpointConfigName"]) if endpoint else None
    if endpoint is None or config is None:
        return
    declared = next(v for v in config["ProductionVariants"] if v["VariantName"] == variant["VariantName"])
    started: dict[str, containers.Container] = {}
    failed = _start(name, declared, started)
    for variant_name, container in started.items():
        if failed or name not in endpoints:
            container.stop()
            continue
        with _lock:
            _containers[_key(name, variant_name)] = container
    variant["CurrentInstanceCount"] = 0 if failed else count
    endpoint.update(EndpointStatus="InService", LastModifiedTime=time.time())


def _delete_endpoint(request: dict[str, Any]) -> dict[str, Any]:
    name = request["EndpointName"]
    endpoint = _found(endpoints, name, "endpoint")
    if endpoint["EndpointStatus"] in _NOT_DELETED_YET:
        raise RefusedError("ValidationException", f'Cannot update in-progress endpoint "{name}".')
    if hosted := [each for each, found in components.items() if found["EndpointName"] == name]:
        raise RefusedError("ValidationException", f'Endpoint "{name}" hosts inference components {hosted}.')
    del endpoints[name]
    if queue := _queues.pop(_key(name, "")[:3], None):
        queue.close()
    for container in _taken_down(name):
        threading.Thread(target=container.stop, daemon=True).start()
    return {}


_KINDS: dict[str, tuple[Any, str, str]] = {
    "Model": (models, "ModelName", "model"),
    "EndpointConfig": (configs, "EndpointConfigName", "endpoint configuration"),
    "Endpoint": (endpoints, "EndpointName", "endpoint"),
    "InferenceComponent": (components, "InferenceComponentName", "inference component"),
}


def _create_component(request: dict[str, Any]) -> dict[str, Any]:
    """Source: SageMaker API reference, ``CreateInferenceComponent``; "Real-time inference", components."""
    name, noun = request["InferenceComponentName"], "inference component"
    _must_be_new(components, name, noun)
    endpoint = _found(endpoints, request["EndpointName"], "endpoint")
    if endpoint["EndpointStatus"] != "InService":
        raise RefusedError("ValidationException", f'Endpoint "{endpoint["EndpointName"]}" is not InService.')
    _found(models, request["Specification"]["ModelName"], "model")
    components[name] = {
        **{key: value for key, value in request.items() if key not in ("RuntimeConfig", "Tags")},
        "InferenceComponentArn": _arn(noun, name),
        "EndpointArn": endpoint["EndpointArn"],
        "InferenceComponentStatus": "Creating",
        "RuntimeConfig": {"DesiredCopyCount": 0, "CurrentCopyCount": 0},
        "CreationTime": time.time(),
        "LastModifiedTime": time.time(),
    }
    set_copies(components[name], int((request.get("RuntimeConfig") or {}).get("CopyCount", 1)))
    return {"InferenceComponentArn": components[name]["InferenceComponentArn"]}


def _update_copies(request: dict[str, Any]) -> dict[str, Any]:
    component = _found(components, request["InferenceComponentName"], "inference component")
    set_copies(component, int(request["DesiredRuntimeConfig"]["CopyCount"]))
    return {"InferenceComponentArn": component["InferenceComponentArn"]}


def set_copies(component: dict[str, Any], count: int) -> None:
    """Let a component have so many copies, and its endpoint as many machines. The first copy has to start."""
    runtime = component["RuntimeConfig"]
    runtime["DesiredCopyCount"] = count
    if count and not runtime["CurrentCopyCount"]:
        if component["InferenceComponentStatus"] != "Creating":
            component["InferenceComponentStatus"] = "Updating"
        _in_background(_start_copies, component, count)
        return
    if not count:
        _stop(_copies_key(component))
    _settle_copies(component, count)


def _start_copies(component: dict[str, Any], count: int) -> None:
    time.sleep(bad_day.today().endpoint_creating_s)
    name, endpoint = component["InferenceComponentName"], component["EndpointName"]
    specification, started = component["Specification"], dict[str, containers.Container]()
    startup = specification.get("StartupParameters") or {}
    copy = {**startup, "ModelName": specification["ModelName"], "VariantName": name}
    reason = _start(endpoint, copy, started)
    container = started.get(name)
    if reason or components.get(name) is not component:
        if container is not None:
            container.stop()
        component.update(InferenceComponentStatus="Failed", FailureReason=reason)
        return
    with _lock:
        _containers[_copies_key(component)] = started[name]
    _settle_copies(component, count)


def _settle_copies(component: dict[str, Any], count: int) -> None:
    component["RuntimeConfig"] = {"DesiredCopyCount": count, "CurrentCopyCount": count}
    component.update(InferenceComponentStatus="InService", LastModifiedTime=time.time())
    for variant in (endpoints.get(component["EndpointName"]) or {}).get("ProductionVariants", []):
        if variant["VariantName"] == component.get("VariantName"):
            variant["CurrentInstanceCount"] = variant["DesiredInstanceCount"] = count


def _delete_component(request: dict[str, Any]) -> dict[str, Any]:
    component = _found(components, request["InferenceComponentName"], "inference component")
    if component["InferenceComponentStatus"] in _NOT_DELETED_YET:
        raise RefusedError("ValidationException", "Cannot delete an inference component that is in progress.")
    del components[component["InferenceComponentName"]]
    _stop(_copies_key(component))
    return {}


def _copies_key(component: dict[str, Any]) -> _Key:
    return _key(component["EndpointName"], f"component/{component['InferenceComponentName']}")


def _stop(key: _Key) -> None:
    with _lock:
        container = _containers.pop(key, None)
    if container is not None:
        threading.Thread(target=container.stop, daemon=True).start()


def _in_background(work: Any, *arguments: Any) -> None:
    """Go on after the call was answered, for the same account and region."""
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(work, *arguments), daemon=True).start()


def _bring_up(name: str, config: dict[str, Any]) -> None:
    """Start the variants, wait for their pings, and say what came of it."""
    time.sleep(bad_day.today().endpoint_creating_s)
    started: dict[str, containers.Container] = {}
    reason = ""
    for variant in config["ProductionVariants"]:
        # Without a model it is machines for components, which come later.
        reason = _start(name, variant, started) if "ModelName" in variant else ""
        if reason:
            break
    endpoint = endpoints.get(name)
    if reason or endpoint is None:
        for container in started.values():
            container.stop()
        if endpoint is not None:
            endpoint.update(EndpointStatus="Failed", FailureReason=reason, LastModifiedTime=time.time())
        return
    old = _taken_down(name)
    with _lock:
        for variant_name, container in started.items():
            _containers[_key(name, variant_name)] = container
    endpoint["ProductionVariants"] = [_running_variant(variant) for variant in config["ProductionVariants"]]
    endpoint["EndpointConfigName"] = config["EndpointConfigName"]
    endpoint["LastModifiedTime"] = time.time()
    endpoint.pop("FailureReason", None)
    endpoint["EndpointStatus"] = "InService"
    for container in old:
        container.stop()


def _start(name: str, variant: dict[str, Any], started: dict[str, containers.Container]) -> str:
    """Start one variant and wait for it; the reason if it does not come, else nothing."""
    model = models.get(variant["ModelName"]) or {}
    definition = model.get("PrimaryContainer") or (model.get("Containers") or [{}])[0]
    label = variant["VariantName"]
    try:
        container = containers.Container(definition, log=_logger(name, label))
    except containers.NoSuchImageError as error:
        return f"The repository of your image {error} does not exist or you do not have access to it."
    except Exception as error:  # noqa: BLE001 - whatever S3 said
        return f"Could not access model data for variant {label}: {error}"
    started[label] = container
    patience = float(variant.get("ContainerStartupHealthCheckTimeoutInSeconds") or STARTUP_S)
    deadline = time.monotonic() + patience
    while not container.answers():
        if container.ended() or time.monotonic() > deadline:
            return (
                f"The primary container for production variant {label} did not pass the ping health check. "
                "Please check CloudWatch logs for this endpoint."
            )
        time.sleep(_POLL_S)
    return ""


def _seem_to_update(name: str) -> None:
    """Take a moment, and be what it was: nobody is told."""
    time.sleep(_POLL_S)
    endpoint = endpoints.get(name)
    if endpoint is not None:
        endpoint.update(EndpointStatus="InService", LastModifiedTime=time.time())


def _running_variant(variant: dict[str, Any]) -> dict[str, Any]:
    count, weight = variant.get("InitialInstanceCount", 1), variant.get("InitialVariantWeight", 1.0)
    return {
        "VariantName": variant["VariantName"],
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
        "CurrentWeight": weight,
        "DesiredWeight": weight,
    }


def _key(name: str, variant: str) -> _Key:
    return get_account_id(), get_region(), name, variant


def _taken_down(name: str) -> list[containers.Container]:
    """The containers of an endpoint, which no request reaches any more."""
    with _lock:
        keys = [key for key in _containers if key[:3] == (get_account_id(), get_region(), name)]
        return [_containers.pop(key) for key in keys]


def _logger(name: str, variant: str) -> Any:
    """Writes lines where SageMaker's own agent does: a stream of the endpoint's log group."""
    return containers.logger(f"/aws/sagemaker/Endpoints/{name}", f"{variant}/i-{uuid.uuid4().hex[:17]}")


# ---------------------------------------------------------------- runtime


def _invoke(name: str, headers: dict[str, str], body: bytes) -> Answer:
    variant = _answering(name, headers.get("x-amzn-sagemaker-target-variant"))
    if _queueing(name):
        # strands-agents/harness-sdk#1969: ValidationError, and nothing else.
        raise RefusedError("ValidationError", f"Endpoint {name} is an asynchronous inference endpoint.")
    today = bad_day.today()
    if random.random() < today.endpoint_throttle_rate:  # noqa: S311
        raise RefusedError("ThrottlingException", "Rate exceeded")
    if len(body) > MAX_BODY_BYTES:
        raise RefusedError("ValidationError", "Request is larger than the limit", 413)
    if random.random() < today.endpoint_error_rate:  # noqa: S311
        raise _model_error(name, variant, 500, b'{"error": "bad day"}')
    component = _component_of(name, headers.get("x-amzn-sagemaker-inference-component"))
    asked = f"component/{component}" if component else variant
    status, found, content = _asked(name, asked, headers, body)
    _count(name, variant, status)
    if status >= 400 or status == 0:
        raise _model_error(name, variant, status, content)
    passed = {"Content-Type": found.get("content-type", "application/octet-stream")}
    if _ATTRIBUTES in found:
        passed["X-Amzn-SageMaker-Custom-Attributes"] = found[_ATTRIBUTES]
    return 200, {**passed, "x-Amzn-Invoked-Production-Variant": variant}, content


def _answering(name: str, wanted: str | None) -> str:
    endpoint = endpoints.get(name)
    variants = (endpoint or {}).get("ProductionVariants") or []
    names = [variant["VariantName"] for variant in variants]
    if not names or (wanted and wanted not in names):
        raise RefusedError("ValidationError", f"Endpoint {name} of account {get_account_id()} not found.")
    weights = [max(float(variant["CurrentWeight"]), 1e-9) for variant in variants]
    return wanted or random.choices(names, weights)[0]  # noqa: S311


def _component_of(name: str, wanted: str | None) -> str | None:
    """The component that a request is for, if its endpoint has components; one without copies refuses.

    Both sentences are SageMaker's, as those who met them report them (aws-samples, "Scale down to zero").
    """
    variants = (configs.get(endpoints[name]["EndpointConfigName"]) or {}).get("ProductionVariants", [])
    if all("ModelName" in variant for variant in variants):
        return None
    if not wanted:
        raise RefusedError(
            "ValidationError",
            "Inference Component Name header is required for endpoints to which you plan to deploy inference "
            "components.",
        )
    component = components.get(wanted)
    if component is None or component["EndpointName"] != name:
        raise RefusedError("ValidationError", f"Inference Component {wanted} not found.")
    if not component["RuntimeConfig"]["CurrentCopyCount"]:
        cloudwatch.record_metric(
            "AWS/SageMaker", "NoCapacityInvocationFailures", 1.0, "Count", {"InferenceComponentName": wanted}
        )
        raise RefusedError(
            "ValidationError",
            "Inference Component has no capacity to process this request. ApplicationAutoScaling may be "
            "in-progress (if configured) or try to increase the capacity by invoking "
            "UpdateInferenceComponentRuntimeConfig API.",
        )
    return wanted


def _asked(
    name: str, variant: str, headers: dict[str, str], body: bytes, timeout_s: float = ANSWER_S
) -> tuple[int, dict[str, str], bytes]:
    """What the container answers; status 0 where it does not, as SageMaker calls that."""
    with _lock:
        container = _containers.get(_key(name, variant))
    if container is None:
        return 0, {}, b"Your invocation timed out while waiting for a response from container"
    passed = {
        "Content-Type": headers.get("content-type", "application/octet-stream"),
        "Accept": headers.get("accept", "*/*"),
    }
    if _ATTRIBUTES in headers:
        passed["X-Amzn-SageMaker-Custom-Attributes"] = headers[_ATTRIBUTES]
    try:
        reply = _pool.request(
            "POST", f"{container.url}/invocations", body=body, headers=passed, timeout=timeout_s
        )
    except urllib3.exceptions.HTTPError:
        return 0, {}, b"Your invocation timed out while waiting for a response from container"
    return reply.status, {key.lower(): value for key, value in reply.headers.items()}, reply.data


def _model_error(name: str, variant: str, status: int, content: bytes) -> RefusedError:
    text = content.decode("utf-8", "replace")
    kind = "client" if 400 <= status < 500 else "server"
    group = f"/aws/sagemaker/Endpoints/{name}"
    return RefusedError(
        "ModelError",
        f'Received {kind} error ({status}) from {variant} with message "{text[:500]}". '
        f"See {group} in account {get_account_id()} for more information.",
        424,
        OriginalStatusCode=status,
        OriginalMessage=text,
        LogStreamArn=arn("logs", f"log-group:{group}"),
    )


def _count(name: str, variant: str, status: int) -> None:
    """SageMaker's own metrics ("Monitor SageMaker AI with Amazon CloudWatch")."""
    dimensions = {"EndpointName": name, "VariantName": variant}
    for metric, value in (
        ("Invocations", 1.0),
        ("InvocationsPerInstance", 1.0),
        ("Invocation4XXErrors", float(400 <= status < 500)),
        ("Invocation5XXErrors", float(status >= 500 or status == 0)),
    ):
        cloudwatch.record_metric("AWS/SageMaker", metric, value, "Count", dimensions)


def _queueing(name: str) -> dict[str, Any] | None:
    """The settings of an endpoint's queue; ``None`` for one that answers at once."""
    config = configs.get(endpoints[name]["EndpointConfigName"]) or {}
    found: dict[str, Any] | None = config.get("AsyncInferenceConfig")
    return found


def _invoke_async(name: str, headers: dict[str, str], body: bytes) -> Answer:
    _answering(name, None)
    settings = _queueing(name)
    if not settings:
        raise RefusedError("ValidationError", f"Endpoint {name} is not an asynchronous inference endpoint.")
    if random.random() < bad_day.today().endpoint_throttle_rate:  # noqa: S311
        raise RefusedError("ThrottlingException", "Rate exceeded")
    source = headers.get("x-amzn-sagemaker-inputlocation", "")
    if bool(body) == bool(source) or len(body) > MAX_INLINE_ASYNC_BYTES:
        raise RefusedError("ValidationError", "Exactly one of InputLocation and a short Body is taken")
    inference = headers.get("x-amzn-sagemaker-inference-id") or str(uuid.uuid4())
    output = settings["OutputConfig"]
    good = str(output["S3OutputPath"]).rstrip("/")
    bad = str(output.get("S3FailurePath") or good).rstrip("/")
    waiting = Waiting(
        id=inference,
        headers=_for_the_container(headers),
        body=body,
        source=source,
        output=f"{good}/{uuid.uuid4()}.out",
        failure=f"{bad}/{uuid.uuid4()}-error.out",
        expires_s=_seconds(headers, "requestttlseconds", (60, 21_600), 21_600),
        timeout_s=_seconds(headers, "invocationtimeoutseconds", (1, 3_600), 900),
    )
    _queue_of(name, settings).put(waiting)
    said = {
        "x-amzn-sagemaker-outputlocation": waiting.output,
        "x-amzn-sagemaker-failurelocation": waiting.failure,
    }
    document = json.dumps({"InferenceId": inference}).encode()
    return 202, {"Content-Type": "application/json", **said}, document


def _for_the_container(headers: dict[str, str]) -> dict[str, str]:
    """The headers that a queued request reaches its container with: they have names of their own before."""
    found = {
        name: headers[f"x-amzn-sagemaker-{name}"]
        for name in ("content-type", "accept")
        if f"x-amzn-sagemaker-{name}" in headers
    }
    return {**found, **({_ATTRIBUTES: headers[_ATTRIBUTES]} if _ATTRIBUTES in headers else {})}


def _seconds(headers: dict[str, str], what: str, bounds: tuple[int, int], otherwise: int) -> float:
    said = headers.get(f"x-amzn-sagemaker-{what}")
    value = int(said) if said else otherwise
    if not bounds[0] <= value <= bounds[1]:
        raise RefusedError("ValidationError", f"{what} is {value}, outside {bounds[0]} to {bounds[1]}")
    return value


def _queue_of(name: str, settings: dict[str, Any]) -> EndpointQueue:
    def instances() -> int:
        variants = (endpoints.get(name) or {}).get("ProductionVariants") or []
        return sum(variant["CurrentInstanceCount"] for variant in variants)

    def asks(waiting: Waiting, body: bytes) -> tuple[int, bytes]:
        variant = _answering(name, None)
        status, _, content = _asked(name, variant, waiting.headers, body, waiting.timeout_s)
        _count(name, variant, status)
        return status, content

    key = _key(name, "")[:3]
    with _lock:
        if key not in _queues:
            _queues[key] = EndpointQueue(name, settings, instances=instances, asks=asks)
        return _queues[key]


# ---------------------------------------------------------------- ways in


async def handle(
    method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
) -> Answer:
    """Answer one request of either API."""
    del method, query
    try:
        found = _INVOCATION.fullmatch(path)
        if found:
            call = _invoke_async if found[2] else _invoke
            return await asyncio.to_thread(call, found[1], headers, body or b"")
        action = headers.get("x-amz-target", "").rsplit(".", 1)[-1]
        return answer(control(action, json.loads(body or b"{}")))
    except RefusedError as error:
        return refusal(error)


def reset() -> None:
    """Forget everything and end what runs."""
    with _lock:
        found, queues = list(_containers.values()), list(_queues.values())
        _containers.clear()
        _queues.clear()
    for queue in queues:
        queue.close()
    for container in found:
        container.kill()
    for store in (models, configs, endpoints, components):
        store.clear()
    jobs.reset()


def _service_of(method: str, path: str, headers: dict[str, str], query: dict[str, Any]) -> str:
    """Both APIs sign as ``sagemaker``; their answers have different envelopes."""
    found = str(_stock_service_of(method, path, headers, query))
    return "sagemaker-runtime" if found == "sagemaker" and _INVOCATION.fullmatch(path) else found


_stock_service_of = app.detect_service


def install() -> None:
    """Add both services; their resource types are ``heavy_stacks``'s."""
    register("sagemaker", targets=["SageMaker."], handle=handle, reset=reset)
    register("sagemaker-runtime", targets=[], handle=handle, reset=reset)
    app.detect_service = _service_of
