"""Processes of one fit as torchrun starts them, without its start: they are forked from one that has torch already.

A process that imports torch and what goes with it takes seconds, and these tests need a dozen of them.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from datetime import timedelta
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch.distributed as dist

from training.__main__ import main

DEADLINE_SECONDS = 120.0

DIES = '''
"""The network {network}, whose process kills itself in one training step if it is told to."""

import os
import signal

from torch import Tensor, nn

from training import networks


class Dies(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.steps = 0

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
            if {when}:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.inner(inputs)


def build(options, data) -> nn.Module:
    return Dies(networks.{network}(options, data))
'''
"""A recipe's own network file. That it dies in a stated step needs nobody who watches for the moment."""


def _forks() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "training.__main__",
            "torch.distributed.fsdp",
            "torch.distributed.checkpoint.state_dict",
            "sklearn.datasets",
        ]
    )
    return context


_CONTEXT = _forks()


def fit_in(recipe: Path, out: Path, kept: Path, *, processes: int = 1, **variables: str) -> list[int | None]:
    """Fit ``recipe`` on so many processes and return how each of them ended.

    They meet at a store of this process, as torchrun's workers meet at one of its agent.
    """
    store = dist.TCPStore(  # type: ignore[attr-defined]
        "127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=DEADLINE_SECONDS)
    )
    told = {
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        **variables,
    }
    words = ["training", str(recipe), str(out), "--keep", str(kept)]
    started: list[BaseProcess] = []
    for rank in range(processes):
        own = {**told, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        started.append(_CONTEXT.Process(target=_work, args=(words, own), daemon=True))
        started[-1].start()
    for process in started:
        process.join(DEADLINE_SECONDS)
        process.kill()
        process.join()
    return [process.exitcode for process in started]


def _work(words: list[str], variables: dict[str, str]) -> None:
    os.environ.update(variables)
    sys.argv = words
    sys.exit(main())
