"""One measured process: ``python -I -S process.py PLAN.json``. Standard library, then what the plan names.

The event is read first, by every contender alike: in Lambda the runtime has it before any of our code.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


class _Context:
    aws_request_id = "benchmark"

    def get_remaining_time_in_millis(self) -> int:
        return 9_000


def main() -> None:
    """Answer the plan's event once, and if it asks for more, often."""
    with open(sys.argv[1], "rb") as file:  # noqa: PTH123 - pathlib would be an import of its own
        plan = json.load(file)
    with open(plan["event"], "rb") as file:  # noqa: PTH123
        event = json.load(file)
    sys.path[:0] = plan["path"]
    os.environ.update(plan["environ"])
    answers = os.fdopen(os.dup(1), "w")
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - log lines are written, and go nowhere

    handler, session = importlib.import_module(plan["contender"]).start(
        plan["file"], plan["model"], plan["dtype"]
    )
    context = _Context()
    first = handler(event, context)
    cpu_ms = time.process_time() * 1000
    answers.write("answered\n")
    answers.flush()
    assert first["statusCode"] == 200, first
    facts = {"cold_cpu_ms": cpu_ms, "rss_mb": _rss_mb(), "modules": len(sys.modules)}
    if plan["calls"]:
        facts |= _warm(handler, session, event, context, plan)
    answers.write(json.dumps(facts) + "\n")
    answers.flush()
    os._exit(0)


def _warm(handler: Any, session: Any, event: Any, context: Any, plan: dict[str, Any]) -> dict[str, float]:
    import numpy as np

    feed = {"x": np.load(plan["x"])}
    calls = plan["calls"]
    took = {}
    works: dict[str, Callable[[], Any]] = {
        "run": lambda: session.run(None, feed),
        "call": lambda: handler(event, context),
    }
    for name, call in works.items():
        for _ in range(max(3, calls // 10)):
            call()
        began, wall = time.process_time(), time.perf_counter()
        for _ in range(calls):
            call()
        took[f"{name}_cpu_ms"] = (time.process_time() - began) / calls * 1000
        took[f"{name}_wall_ms"] = (time.perf_counter() - wall) / calls * 1000
    return took


def _rss_mb() -> float:
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
        fields = dict(line.split(":", 1) for line in status if ":" in line)
    return int(fields["VmRSS"].split()[0]) / 1024


main()
