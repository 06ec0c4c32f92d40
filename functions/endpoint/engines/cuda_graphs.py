"""CUDA graphs: a model's whole run, copies included, as one call to the driver.

A shape that comes a second time is captured: its inputs' way to the device, every kernel, and the outputs'
way back, between buffers in pinned memory that stay where they are. Each thread has captures and a stream
of its own, so that one copies while another computes. What cannot be captured (a size that depends on
values, an operator that waits for the device) runs as ever, and is not tried again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch

Compute = Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]
Key = tuple[tuple[tuple[int, ...], torch.dtype], ...]

MOST = 64
"""Shapes per thread: as many as rows of a batch, twice. Each holds its buffers on the device."""

_WARM_UPS = 3


class Capture:
    """One shape. Not for two threads at once."""

    def __init__(
        self,
        compute: Compute,
        tensors: Sequence[torch.Tensor],
        device: torch.device,
        stream: torch.cuda.Stream,
    ) -> None:
        self._stream = stream
        self._given = [torch.empty(each.shape, dtype=each.dtype, pin_memory=True) for each in tensors]
        inputs = [torch.empty(each.shape, dtype=each.dtype, device=device) for each in tensors]
        for here, there, tensor in zip(self._given, inputs, tensors, strict=True):
            there.copy_(here.copy_(tensor))
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                outputs = compute(inputs)
        stream.synchronize()
        self._taken = [torch.empty(each.shape, dtype=each.dtype, pin_memory=True) for each in outputs]
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
            for here, there in zip(self._given, inputs, strict=True):
                there.copy_(here, non_blocking=True)
            for here, there in zip(self._taken, compute(inputs), strict=True):
                here.copy_(there, non_blocking=True)

    def __call__(self, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        for here, tensor in zip(self._given, tensors, strict=True):
            here.copy_(tensor)
        with torch.cuda.stream(self._stream):
            self._graph.replay()
        self._stream.synchronize()
        return [each.clone() for each in self._taken]


class Captures:
    """Tensors in memory to tensors in memory, captured where that works."""

    def __init__(self, compute: Compute, device: torch.device) -> None:
        self._compute = compute
        self._device = device
        self._of_thread = threading.local()
        # Other threads' allocations would spoil a capture that is under way.
        self._lock = threading.Lock()

    def __call__(self, tensors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        mine = self._of_thread
        if not hasattr(mine, "known"):
            mine.known, mine.stream = {}, torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        known: dict[Key, Capture | None] = mine.known
        key: Key = tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors)
        if key in known:
            capture = known[key]
            if capture is not None:
                return capture(tensors)
        elif key in mine.__dict__.setdefault("seen", set()) and len(known) < MOST:
            known[key] = capture = self._captured(tensors, mine.stream)
            if capture is not None:
                return capture(tensors)
        else:
            if len(mine.seen) > 16 * MOST:
                mine.seen.clear()
            mine.seen.add(key)
        with torch.cuda.stream(mine.stream):
            results = self._compute([tensor.to(self._device) for tensor in tensors])
            return [result.cpu() for result in results]

    def _captured(self, tensors: Sequence[torch.Tensor], stream: torch.cuda.Stream) -> Capture | None:
        try:
            with self._lock:
                return Capture(self._compute, tensors, self._device, stream)
        except RuntimeError:
            return None
