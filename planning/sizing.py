"""From what a model took, a load and a price table: which target, which size, how many, and what it costs.

Everything here is arithmetic on arguments. The rules, so that nobody has to guess them:

* A Lambda function has ``memory / 1769`` vCPUs. Below one, it computes for that share of the time, so a run
  lasts ``1 / share`` times as long; from one up, onnxruntime gets as many threads as there are whole vCPUs,
  and a run lasts as long as was measured on that many threads, or on the most that were measured.
* An instance is planned to be busy for ``BUSY`` of its vCPUs at the peak, and there are at least two of
  a kind, so that one may fail. A vCPU counts as a core of the machine that measured, times ``core_speed``.
* A month has 730 hours. Costs are list prices; what is not in the table is not in the sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from model_store.contract.deployment import ALARMS_OF_A_RELEASE
from model_store.contract.environment import METRICS
from model_store.contract.placement import LAYER_BYTES, MAX_EPHEMERAL_MB
from planning.measure import Measured
from planning.prices import HOURS, InstancePrice, Prices

MEMORY_MB_PER_VCPU = 1769
"""Source: AWS Lambda developer guide, "Configure Lambda function memory": 1,769 MB is one vCPU."""

MEMORY_SIZES_MB = (512, 1024, 1769, 2560, 3538, 5307, 7076, 8845, 10_240)
"""Sizes to choose among: two below a vCPU, then whole vCPUs, since threads are whole."""

MEMORY_HEADROOM = 1.25
BUSY = 0.6
LEAST_INSTANCES = 2
HANDLING_MS = 1.5
"""What a function adds to the model's own run, warm. Order of magnitude from benchmarks/inference.py."""

LOG_BYTES = 600
"""One log line of a request with its embedded metrics, and Lambda's own report line."""

GATEWAY_GB = 0.25
METRICS_EACH = len(METRICS)
"""Of the model, and again of each version that answers (law 11). Only hours with data are charged."""
BAND_METRICS = 3
"""Source: CloudWatch pricing: an alarm on a band is billed for the metric and for both edges."""

DRIFT_METRICS, DRIFT_ALARMS = 6, 5
"""Of the model, and again of the version that answers (ADR 40); where labels are told of, one more each."""

MONITOR_GB, MONITOR_S = 2.0, 5.0
"""The monitor's function, and about how long it takes an hour for one model."""

PUTS_HOUR, ANSWERED_S = 360, 0.1
"""An environment writes at most every ten seconds; a tenth of a second each says how many answer at once."""

ACCOUNT_CONCURRENCY = 1000
"""Source: Lambda quotas, "Concurrent executions", the default of an account and region."""

Kind = Literal["lambda", "sagemaker", "ec2"]


@dataclass(frozen=True, slots=True)
class Watched:
    """Alarms on one model, as they are billed: metrics that they look at, composites, bands.

    ``released`` are those that each alias's newest release has. The defaults are the catalog's, of one alias.
    """

    on_metrics: int = 10
    composites: int = 2
    bands: int = 2
    released: int = ALARMS_OF_A_RELEASE

    @property
    def looked_at(self) -> int:
        """Metrics that are billed for being looked at."""
        return self.on_metrics + self.released + BAND_METRICS * self.bands

    def month(self, prices: Prices) -> float:
        front = prices.front
        return self.looked_at * front.alarm_month + self.composites * front.composite_alarm_month


@dataclass(frozen=True, slots=True)
class Captured:
    """What is kept of a model's requests, to be judged once an hour: a share of them, labelled or not."""

    rate: float
    labelled: bool = False

    def month(self, requests: float, at_once: float, prices: Prices) -> float:
        """Metrics, alarms, the monitor, and a PUT at most for each request and each ten seconds."""
        metrics = 2 * (DRIFT_METRICS + self.labelled) * prices.front.metric_month
        alarms = (DRIFT_ALARMS + self.labelled) * prices.front.alarm_month
        monitor = HOURS * MONITOR_GB * MONITOR_S * prices.lambda_.gb_second("x86_64")
        puts = min(requests * self.rate, max(1.0, at_once) * PUTS_HOUR * HOURS)
        return metrics + alarms + monitor + puts / 1000 * prices.front.thousand_puts


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a model. ``rate`` and ``peak`` are requests per second, on average and at the worst.

    ``p95_ms`` is the most that an answer may take, or ``None``. ``kept`` is how many versions stay able to
    answer: the live one and those that a rollback goes to. ``watched`` is what is alarmed on, ``captured``
    what is kept of the requests.
    """

    rate: float
    peak: float
    p95_ms: float | None = None
    kept: int = 3
    watched: Watched = field(default_factory=Watched)
    captured: Captured | None = None

    @property
    def month(self) -> float:
        """Requests of a month."""
        return self.rate * HOURS * 3600


@dataclass(frozen=True, slots=True)
class Option:
    """One way to serve the model. ``why_not`` is empty where it can; ``p95_ms`` is an estimate, or ``None``.

    ``count`` are instances, or environments at the peak. ``costs`` are US dollars a month, by purpose.
    """

    target: Kind
    size: str
    count: int
    p95_ms: float | None
    costs: dict[str, float]
    why_not: str = ""
    remark: str = ""

    @property
    def month(self) -> float:
        return sum(self.costs.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "size": self.size,
            "count": self.count,
            "p95_ms": None if self.p95_ms is None else round(self.p95_ms, 2),
            "usd_month": round(self.month, 2),
            "costs": {name: round(cost, 2) for name, cost in self.costs.items()},
            "why_not": self.why_not,
            "remark": self.remark,
        }


@dataclass(frozen=True, slots=True)
class Function:
    """How the catalog deploys a model's function, as far as money and limits depend on it."""

    architecture: str = "x86_64"
    snapstart: bool = True
    layer_budget: int = LAYER_BYTES


def options(
    measured: Measured,
    load: Load,
    prices: Prices,
    *,
    size_bytes: int,
    function: Function | None = None,
    core_speed: float = 1.0,
) -> list[Option]:
    """Every option, those that work first and the cheapest of them at the top.

    ``core_speed`` is how fast a vCPU of AWS is, with a core of the machine that measured as 1.
    """
    function = function or Function()
    found = [
        _function(measured, load, prices, memory_mb, size_bytes, function, core_speed)
        for memory_mb in MEMORY_SIZES_MB
    ]
    found += [
        _instances(measured, load, prices, name, price, core_speed)
        for name, price in prices.instances.items()
    ]
    return sorted(found, key=lambda option: (bool(option.why_not), option.p95_ms is None, option.month))


def recommended(found: list[Option]) -> Option | None:
    """The cheapest option that works and whose latency is known."""
    return next((option for option in found if not option.why_not and option.p95_ms is not None), None)


def function_latency_ms(measured: Measured, memory_mb: int, core_speed: float = 1.0) -> tuple[float, float]:
    """What a warm request takes on a function of that size: the median and the 95th percentile."""
    vcpus = memory_mb / MEMORY_MB_PER_VCPU
    run = measured.run(threads=int(vcpus))
    slower = 1 / (min(vcpus, 1.0) * core_speed)
    return (run.p50_ms + HANDLING_MS) * slower, (run.p95_ms + HANDLING_MS) * slower


def _function(
    measured: Measured,
    load: Load,
    prices: Prices,
    memory_mb: int,
    size_bytes: int,
    function: Function,
    core_speed: float,
) -> Option:
    p50, p95 = function_latency_ms(measured, memory_mb, core_speed)
    gb = memory_mb / 1024
    at_once = math.ceil(load.peak * p50 / 1000)
    # Lambda bills whole milliseconds.
    gb_seconds = load.month * math.ceil(p50) / 1000 * gb
    costs = {
        "computing": gb_seconds * prices.lambda_.gb_second(function.architecture),
        "invocations": load.month / 1e6 * prices.lambda_.million_requests,
    }
    if function.snapstart:
        month_s = HOURS * 3600
        costs["snapshots"] = load.kept * gb * month_s * prices.lambda_.snapstart_cache_gb_second
    costs |= front_costs(load, prices)
    return Option(
        "lambda",
        f"{memory_mb} MB",
        max(1, at_once),
        p95,
        costs,
        why_not=_why_no_function(measured, load, memory_mb, size_bytes, p95, at_once),
        remark="read from S3 at start" if size_bytes > function.layer_budget else "",
    )


def _why_no_function(
    measured: Measured,
    load: Load,
    memory_mb: int,
    size_bytes: int,
    p95: float,
    at_once: int,
) -> str:
    needed = measured.memory_mb * MEMORY_HEADROOM
    if size_bytes > MAX_EPHEMERAL_MB * 1_048_576:
        return f"{size_bytes:,} bytes, and `/tmp` has at most {MAX_EPHEMERAL_MB:,} MB"
    if needed > memory_mb:
        return f"needs {needed:,.0f} MB with a quarter to spare"
    if at_once > ACCOUNT_CONCURRENCY:
        return f"{at_once:,} environments at the peak, and an account has {ACCOUNT_CONCURRENCY:,}"
    return _too_slow(p95, load)


def _instances(
    measured: Measured, load: Load, prices: Prices, name: str, price: InstancePrice, core_speed: float
) -> Option:
    costs: dict[str, float] = {}
    run = measured.best_batch(load.p95_ms)
    if price.gpu:
        count, p95, remark = LEAST_INSTANCES, None, f"{price.gpu}: not measured here"
    else:
        cpu_s_per_row = run.cpu_ms / run.batch / 1000 / core_speed
        count = max(LEAST_INSTANCES, math.ceil(load.peak * cpu_s_per_row / (price.vcpus * BUSY)))
        p95 = (run.p95_ms + HANDLING_MS) / core_speed
        remark = f"batches of {run.batch}" if run.batch > 1 else ""
    costs["instances"] = count * price.month
    if price.target == "ec2":
        costs["load balancer"] = HOURS * (prices.load_balancer.hour + prices.load_balancer.capacity_unit_hour)
    gateway_gb_s = load.month * GATEWAY_GB * math.ceil(p95 or run.p95_ms) / 1000
    costs["gateway function"] = (
        gateway_gb_s * prices.lambda_.x86_64_gb_second + load.month / 1e6 * prices.lambda_.million_requests
    )
    costs |= front_costs(load, prices)
    needed_gb = measured.memory_mb * MEMORY_HEADROOM / 1024
    # An operating system and its agents take about a gigabyte.
    if needed_gb > price.memory_gb - 1:
        why_not = f"needs {needed_gb:,.1f} GB with a quarter to spare"
    else:
        why_not = _too_slow(p95, load) if p95 is not None else ""
    return Option(price.target, name, count, p95, costs, why_not=why_not, remark=remark)


def front_costs(load: Load, prices: Prices) -> dict[str, float]:
    """What every target pays: API, log, metrics of model and kept versions, alarms, a dashboard, drift."""
    captured = load.captured
    drift = captured.month(load.month, load.rate * ANSWERED_S, prices) if captured else None
    return {
        "API": load.month / 1e6 * prices.front.http_api_million_requests,
        "log": load.month * LOG_BYTES / 1e9 * prices.front.log_gb,
        "metrics": METRICS_EACH * (1 + load.kept) * prices.front.metric_month,
        "alarms": load.watched.month(prices),
        "dashboard": prices.front.dashboard_month,
        **({"drift": drift} if drift is not None else {}),
    }


def _too_slow(p95: float, load: Load) -> str:
    if load.p95_ms is not None and p95 > load.p95_ms:
        return f"p95 about {p95:,.1f} ms, and {load.p95_ms:g} ms are wanted"
    return ""
