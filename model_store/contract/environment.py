"""What a release tells a function about itself: environment variables and the model layer.

The *base* (set by ``cdk deploy``) carries ``MODEL`` and ``STAGE``. A release adds the others on the
version it publishes, and nothing else. A function without ``VERSION`` is the one that ``cdk deploy``
made before the first release; it answers 503.

The model travels as a Lambda layer that holds an importable folder, ``python/switchyard_model``:
``manifest.json``, ``golden.json`` and the artifact's files under ``files/``. The values of the golden
sample stand in ``golden.json`` and not in the manifest, because a start of the function reads the one and
seldom the other, and an image's values are megabytes. A function finds it through Python's own
import path, so no code spells out where Lambda unpacks layers.

A version too large for a layer (``model_store.contract.placement``) has none: ``MANIFEST`` and
``MANIFEST_DIGEST`` say which manifest to read from the store, and the function reads the files that it names.
"""

from __future__ import annotations

MODEL = "SWITCHYARD_MODEL"
STAGE = "SWITCHYARD_STAGE"
VERSION = "SWITCHYARD_VERSION"
DIGEST = "SWITCHYARD_DIGEST"
BASE = "SWITCHYARD_BASE"

TIMEOUT = "SWITCHYARD_TIMEOUT_S"
"""Seconds that Lambda gives one request. Part of the base; Lambda tells it only while a request runs."""

MAX_BATCH = "SWITCHYARD_MAX_BATCH"
"""The most rows that one request may have. Part of the base; without it the other limits decide."""

RUNTIME = "SWITCHYARD_RUNTIME"
"""Which runtime layer lies under the function where it is not the plain one. Part of the base."""

TEXT = "text"
"""The layer with the operators of onnxruntime-extensions."""

IMAGE = "image"
"""The layer that reads files of pictures."""

EXPLAIN = "SWITCHYARD_EXPLAIN"
"""Set where callers may ask which parts of an input an answer hangs on."""

EXPLAIN_MAX_PARTS = 256
"""Into how many parts an input is cut at most; each is a run of the model."""

HANDOFF_BUCKET = "SWITCHYARD_HANDOFF_BUCKET"
"""The bucket through which payloads travel that Lambda does not carry. Without it, none do."""

ANSWERS_QUEUE = "SWITCHYARD_ANSWERS_QUEUE"
"""Address of the queue that answers to queued requests go to. Without it, none are taken from a queue."""

ATTEMPT = "SWITCHYARD_ATTEMPT"
"""Set from the second attempt on to make a version: Lambda publishes nothing where nothing changed, and a
Lambda version that failed its checks must not come back."""

BUCKET = "SWITCHYARD_BUCKET"
"""The model store. Set on the operations function, which works on it, and on the function of a model that
may read its versions from there at start."""

MANIFEST = "SWITCHYARD_MANIFEST"
"""Set by the release of a version that no layer carries: the key of its manifest in the model store."""

MANIFEST_DIGEST = "SWITCHYARD_MANIFEST_DIGEST"
"""Set with it: the sha256 of that manifest, 64 characters. The files' digests stand in there."""

SIGNED_MANIFEST = "SWITCHYARD_SIGNED_MANIFEST"
"""Set on a version whose signature was verified when it was made: the sha256 of the manifest as it was
signed, 64 characters. What it loads must be that manifest, golden sample and all, or it does not start."""

MODELS = "SWITCHYARD_MODELS"
"""Set on the front: a JSON list of ``{"model", "alias"}``, everything the address serves."""

JWT = "SWITCHYARD_JWT"
"""Whose tokens the authorizer of a REST API takes, as JSON: ``issuer``, ``audience`` and ``scopes``."""

ALARM_TOPIC = "SWITCHYARD_ALARM_TOPIC"
"""Set on the operations function: where the alarms of a release report, and it listens."""

MESSAGE_TOPIC = "SWITCHYARD_MESSAGE_TOPIC"
"""Set on the messenger: where messages for people are published."""

SLACK_WEBHOOK = "SWITCHYARD_SLACK_WEBHOOK"
"""Set on the messenger: the SSM parameter that holds the address of an incoming webhook."""

PAGERDUTY_KEY = "SWITCHYARD_PAGERDUTY_KEY"
"""Set on the messenger: the SSM parameter that holds a routing key of PagerDuty's Events API v2."""

ALARM_PERIOD = "SWITCHYARD_ALARM_PERIOD_S"
"""Set on the operations function: the period of those alarms in seconds."""

TARGET = "SWITCHYARD_TARGET"
"""Set on a gateway function: where its endpoints are, ``sagemaker`` or ``ec2``. Part of the base."""

ENDPOINT_CONFIGURATION = "SWITCHYARD_ENDPOINT_CONFIGURATION"
"""Set on a gateway function: what, besides version and digest, names its endpoints. Part of the base, so a
changed image or instance type is a changed base (``model_store.contract.endpoints``)."""

ENDPOINT_FLOOR = "SWITCHYARD_ENDPOINT_FLOOR"
"""Set on a gateway function whose endpoints never have just one machine: their floor. Part of the base."""

ENDPOINT_URL = "SWITCHYARD_ENDPOINT_URL"
"""Set on a gateway function of the target ``ec2``: the load balancer's address. Part of the base."""

COMPONENT = "SWITCHYARD_COMPONENT"
"""``on`` on a gateway function whose endpoints hold an inference component of their own name, the copies of
which come and go. Part of the base."""

ASYNCHRONOUS = "SWITCHYARD_ASYNCHRONOUS"
"""Set on a gateway function whose endpoints answer later: JSON with ``timeout_s``, how long a request may be
computed, and ``expires_s``, how long it may wait before that. Part of the base."""

OWN_IMAGE = "SWITCHYARD_OWN_IMAGE"
"""``on`` on a gateway function whose endpoints run a team's own container, not ours: its answers name no
version and no digest. Part of the base."""

ENDPOINT = "SWITCHYARD_ENDPOINT"
"""Set by a release on the gateway version it publishes: the one endpoint that this version asks."""

CAPTURE = "SWITCHYARD_CAPTURE"
"""What of its requests a function keeps: ``model_store.contract.capture.CaptureSettings``, as JSON. Part of
the base; without it nothing is kept."""

CAPTURE_BUCKET = "SWITCHYARD_CAPTURE_BUCKET"
"""Where it keeps them. Part of the base."""

MONITORED = "SWITCHYARD_MONITORED"
"""Set on the monitor: a JSON list of ``{"model", "window_hours"}``, every model whose requests are kept."""

TRACING = "SWITCHYARD_TRACING"
"""``on`` on the container of a traced model: it writes a line for each request that is drawn to be traced."""

LEASE = "SWITCHYARD_LEASE_S"
"""Set on the operations function: how many seconds a lease lasts whose holder died."""

SIGNED_BY = "SWITCHYARD_SIGNED_BY"
"""Set on the operations function of a stage with ``signed_by``: the key that must have signed a version."""

SHIFTS = "SWITCHYARD_SHIFTS"
"""Set on the operations function of a stage with pipelines: the machine that takes releases in steps."""

TRAINING_BUCKET = "SWITCHYARD_TRAINING_BUCKET"
"""Set on training jobs and by `yard`: the bucket that ``s3:///data/digits/`` in a ``data.toml`` means."""

SHADOW = "SWITCHYARD_SHADOW"
"""Set on a *mirror*: a Lambda version of what is live that hands every inference on to another version.
JSON: the Lambda ``alias`` of this function that leads there, and the model ``version`` that it has to be."""

SHADOW_EVENT = "switchyardShadow"
"""What marks an event as a mirrored request, which nobody waits for."""

RELEASE_VARIABLES = (VERSION, DIGEST, BASE)

MODEL_PACKAGE = "switchyard_model"
MANIFEST_FILE = "manifest.json"
GOLDEN_FILE = "golden.json"
FILES_FOLDER = "files"

PIPELINE_FILE = "pipeline.json"
"""The entry of an artifact of several graphs (``model_store.contract.pipeline``)."""

MODEL_HEADER = "x-switchyard-model"
"""Answer header: the exact version, ``digits:7``."""

DIGEST_HEADER = "x-switchyard-digest"
"""Answer header: the artifact's digest, ``sha256:…``."""

INVOCATIONS_METRIC = "Invocations"
"""1 for every request that a version answered, whatever it answered."""

COLD_STARTS_METRIC = "ColdStarts"
"""1 for the first request of an environment; the others do not have it."""

FAULTS_METRIC = "Faults"
"""1 for an answer of status 500 or above, else 0: its average is the rate, its count the requests."""

LATENCY_METRIC = "Latency"
"""Milliseconds of an inference, measured inside the function."""

MODEL_LATENCY_METRIC = "ModelLatency"
"""Milliseconds of an answered inference in which the model ran, or its endpoint was asked."""

OVERHEAD_METRIC = "Overhead"
"""Milliseconds of an answered inference that were not the model's: reading, checking, writing."""

ROWS_METRIC = "Rows"
"""Rows of an answered inference: the leading size of its inputs, 1 where callers do not choose it."""

PAYLOAD_BYTES_METRIC = "PayloadBytes"
"""Size of an answered inference's request, as the protocol has it: after base64."""

METRICS = (
    INVOCATIONS_METRIC,
    FAULTS_METRIC,
    COLD_STARTS_METRIC,
    LATENCY_METRIC,
    MODEL_LATENCY_METRIC,
    OVERHEAD_METRIC,
    ROWS_METRIC,
    PAYLOAD_BYTES_METRIC,
)
"""All that a request can count as, each by ``{model}`` and by ``{model, version}``."""

AGREES_METRIC = "ShadowAgrees"
"""1 where a version answered a mirrored request as the live one did, else 0: its count is the requests."""

SHADOW_FAULTS_METRIC = "ShadowFaults"
"""1 where a version had no answer to a mirrored request that the live one had answered, else 0."""

SHADOW_LATENCY_METRIC = "ShadowLatency"
"""Milliseconds that a version took for a mirrored request."""

SHADOWED_LATENCY_METRIC = "ShadowedLatency"
"""Milliseconds that the live version had taken for the same request."""

CANNOT_ANSWER_METRIC = "CannotAnswer"
"""How many live versions and rollback targets could not answer when they were asked, once a day."""

START_FAILURES_METRIC = "StartFailures"
"""1 for an environment that could not begin to serve: no model there, or not the one it should be."""

SHADOW_LOST_METRIC = "ShadowLost"
"""Requests that were to be mirrored and were not: too many at once, too large, or not taken by Lambda."""

DRIFT_PSI_METRIC = "DriftPsi"
"""The largest population stability index of an input against the version's baseline; the scheduled monitor
writes this and the six below, never a request."""

DRIFT_KS_METRIC = "DriftKs"
"""The largest Kolmogorov-Smirnov distance of an input that is a number."""

CATEGORY_SHIFT_METRIC = "CategoryShift"
"""The largest total variation distance of an input that is a category."""

MISSING_RATE_METRIC = "MissingRate"
"""The largest share of missing values of an input, beyond what its baseline had."""

OUT_OF_RANGE_RATE_METRIC = "OutOfRangeRate"
"""The largest share of an input's values that lie outside of everything that its baseline saw."""

OUTPUT_DRIFT_METRIC = "OutputDrift"
"""The largest population stability index of an output."""

ACCURACY_METRIC = "Accuracy"
"""The share of captured answers with a known truth that were right."""

MAX_PAYLOAD_BYTES = 6_291_456
"""Largest request or answer of a synchronous Lambda invocation, envelope included.

Source: AWS Lambda quotas, "Invocation payload (request and response)", 6 MB synchronous.
"""

MAX_BODY_BYTES = MAX_PAYLOAD_BYTES - 4096
"""Largest body that goes through an inference function: what surrounds it (status, headers, braces) fits
into the rest. A binary body travels as base64, four bytes for three."""

UNZIPPED_LIMIT_BYTES = 262_144_000
"""Largest function code with all layers, unzipped. Source: AWS Lambda quotas, 250 MB."""
