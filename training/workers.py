"""One process, or several that fit one model together (torchrun): who each is, and what they add up.

Gradients are those of the whole batch whatever the number of processes: each takes every n-th row of it, and
its loss is divided by the size of the whole batch, not of its share.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Workers:
    """This process among ``count``; ``rank`` 0 is the one that writes."""

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def writes(self) -> bool:
        return self.rank == 0

    def wrap(self, network: nn.Module, strategy: str) -> nn.Module:
        """Make ``network`` share its gradients (``ddp``), or its parameters too (``fsdp``)."""
        network = network.to(self.device)
        if self.count == 1:
            return network
        if strategy == "fsdp":
            from torch.distributed.fsdp import fully_shard

            for block in _blocks(network):
                fully_shard(block)
            fully_shard(network)
            return network
        return nn.parallel.DistributedDataParallel(network)

    def sum(self, numbers: list[float]) -> list[float]:
        """Add up each of ``numbers`` over all processes."""
        if self.count == 1:
            return numbers
        together = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        dist.all_reduce(together)
        return [float(number) for number in together]

    def share(self, rows: Tensor) -> Tensor:
        """This process's rows of a batch."""
        return rows[self.rank :: self.count]

    def state(self, network: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[State, State]:
        """The whole state of both, the same whatever the number of processes and the strategy."""
        if self.count == 1:
            return _copied(network.state_dict()), _copied(optimiser.state_dict())
        states = _states()
        whole = states.StateDictOptions(full_state_dict=True, cpu_offload=True)
        return (
            _copied(states.get_model_state_dict(network, options=whole)),
            _copied(states.get_optimizer_state_dict(network, optimiser, options=whole)),
        )

    def weights(self, network: nn.Module) -> State:
        if self.count == 1:
            return _copied_state(network.state_dict())
        states = _states()
        whole = states.StateDictOptions(full_state_dict=True, cpu_offload=True)
        return _copied_state(states.get_model_state_dict(network, options=whole))

    def restore(
        self, network: nn.Module, optimiser: torch.optim.Optimizer, weights: State, steps: State
    ) -> None:
        """Put back what ``state`` gave, also one that another number of processes gave."""
        if self.count == 1:
            network.load_state_dict(weights)
            optimiser.load_state_dict(_by_number(network, steps))
            return
        states = _states()
        whole = states.StateDictOptions(full_state_dict=True)
        states.set_model_state_dict(network, weights, options=whole)
        states.set_optimizer_state_dict(network, optimiser, _by_name(network, steps), options=whole)


@contextmanager
def joined(device: str = "auto") -> Iterator[Workers]:
    """This process as torchrun started it, or the only one; several leave together at the end."""
    there = torch.cuda.is_available() if device == "auto" else device == "cuda"
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Workers(device="cuda" if there else "cpu")
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if there:
        torch.cuda.set_device(local)
    store, rank, count = next(rendezvous("env://"))
    # torchrun keeps its store when it starts workers anew: without a name for each attempt they would find
    # the addresses of the dead ones there, and lose an attempt to them.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.PrefixStore(f"attempt-{attempt}", store)  # type: ignore[attr-defined]
    dist.init_process_group("nccl" if there else "gloo", store=store, rank=rank, world_size=count)
    try:
        yield Workers(dist.get_rank(), dist.get_world_size(), f"cuda:{local}" if there else "cpu")
    finally:
        dist.destroy_process_group()


def _states() -> Any:
    """What gathers the states of several processes: a second of imports that one process never pays for."""
    from torch.distributed.checkpoint import state_dict

    return state_dict


def _blocks(network: nn.Module) -> list[nn.Module]:
    """The parts that are sharded one by one, so that only one of them is whole at a time."""
    return [block for block in network.modules() if isinstance(block, nn.Linear | nn.Conv2d | nn.Embedding)]


def _copied(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach().cpu().clone()
    if isinstance(state, dict):
        return {key: _copied(value) for key, value in state.items()}
    if isinstance(state, list):
        return [_copied(value) for value in state]
    return state


def _copied_state(state: State) -> State:
    return {key: _copied(value) for key, value in state.items()}


def _names(network: nn.Module) -> list[str]:
    return [name.removeprefix("module.") for name, _ in network.named_parameters()]


def _by_name(network: nn.Module, steps: State) -> State:
    """An optimiser's state with parameters called by name, as several processes keep it."""
    if not all(isinstance(key, int) for key in steps["state"]):
        return steps
    names = _names(network)
    groups = [
        {**group, "params": [names[number] for number in group["params"]]} for group in steps["param_groups"]
    ]
    return {"state": {names[key]: value for key, value in steps["state"].items()}, "param_groups": groups}


def _by_number(network: nn.Module, steps: State) -> State:
    """The same with parameters called by number, as one process keeps it."""
    if all(isinstance(key, int) for key in steps["state"]):
        return steps
    number = {name: place for place, name in enumerate(_names(network))}
    groups = [
        {**group, "params": [number[name] for name in group["params"]]} for group in steps["param_groups"]
    ]
    return {"state": {number[key]: value for key, value in steps["state"].items()}, "param_groups": groups}
