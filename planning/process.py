"""The process in which one number of threads is measured: ``python -m planning.process '{"package": …}'``.

Nobody imports this module. It loads the model with the function's own code, runs it, and writes one JSON
document.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from functions.inference.artifact import LayerArtifact
from functions.inference.predictor import Predictor
from functions.protocol.tensors import array_from_tensor
from model_store.contract.environment import MANIFEST_FILE
from model_store.contract.manifest import Manifest
from planning.measure import takes_rows

_LEAST_RUNS = 5
_MOST_RUNS = 400
_WARM_UP = 2


def measured_here(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What ``planning.measure`` asks of one process: start, memory, and a run for each batch."""
    begun = time.perf_counter()
    package = Path(asked["package"])
    manifest = Manifest.from_json((package / MANIFEST_FILE).read_bytes())
    artifact = LayerArtifact(str(package), manifest)
    predictor = Predictor.load(artifact, threads=asked["threads"])
    sample = {tensor.name: array_from_tensor(tensor) for tensor in artifact.golden().inputs}
    outputs = [spec.name for spec in manifest.outputs]
    predictor(sample, outputs)
    start_ms = (time.perf_counter() - begun) * 1000

    def with_rows(batch: int) -> dict[str, Any]:
        inputs = rows_of(sample, batch) if takes_rows(manifest.inputs) else sample
        run = timed(lambda: predictor(inputs, outputs), asked["seconds"])
        return {"threads": asked["threads"], "batch": batch, **run}

    runs = [with_rows(batch) for batch in asked["batches"]]
    return {"runs": runs, "start_ms": start_ms, "memory_mb": _most_memory_mb()}


def rows_of(sample: Mapping[str, NDArray[Any]], rows: int) -> dict[str, NDArray[Any]]:
    """``rows`` rows made of the sample's own, repeated from the beginning as often as needed."""
    return {
        name: np.ascontiguousarray(np.take(array, np.arange(rows) % len(array), axis=0))
        for name, array in sample.items()
    }


def timed(run: Callable[[], object], seconds: float) -> dict[str, Any]:
    """Run for about ``seconds`` after a warm-up; milliseconds by the clock, and of processor time."""
    for _ in range(_WARM_UP):
        run()
    took: list[float] = []
    cpu, begun = time.process_time(), time.perf_counter()
    while len(took) < _LEAST_RUNS or (len(took) < _MOST_RUNS and time.perf_counter() - begun < seconds):
        before = time.perf_counter()
        run()
        took.append((time.perf_counter() - before) * 1000)
    cpu_ms = (time.process_time() - cpu) * 1000 / len(took)
    p95 = statistics.quantiles(took, n=20, method="inclusive")[-1]
    return {"runs": len(took), "p50_ms": statistics.median(took), "p95_ms": p95, "cpu_ms": cpu_ms}


def _most_memory_mb() -> float:
    """The largest this process ever was. Linux counts in KiB, macOS in bytes: getrusage(2)."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1_048_576 if sys.platform == "darwin" else most / 1024


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured_here(json.loads(sys.argv[1]))))
