"""Fit: the loop that makes a network good at the train part and keeps it as it was in its best epoch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from training import checkpoint
from training.checkpoint import Checkpoint
from training.data.declared import CLASSIFICATION
from training.data.prepared import Part, Prepared
from training.errors import FitError, RecipeError
from training.networks import Scaled, target_scale
from training.recipe import Fit, Recipe
from training.schedules import factor
from training.workers import Workers

_EVALUATED_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the train part came to. ``number`` counts from 1; ``score`` is the validation part's
    accuracy for classes and its mean squared error (of scaled targets) for numbers."""

    number: int
    train_loss: float
    validation_loss: float
    score: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """The weights of the best epoch, and the way there. ``resumed``: how many epochs were over before."""

    weights: dict[str, Any]
    history: tuple[Epoch, ...]
    best_epoch: int
    stopped_early: bool
    resumed: int | None


OnEpoch = Callable[[Epoch], None]
LossOf = Callable[[Tensor, Tensor, Tensor], Tensor]
"""The summed loss of a batch, from its inputs, the network's answers and the targets."""
AfterStep = Callable[[nn.Module], None]


def fit(
    network: Scaled,
    recipe: Recipe,
    data: Prepared,
    folder: Path | None,
    *,
    of: str,
    workers: Workers | None = None,
    loss_of: LossOf | None = None,
    after_step: AfterStep | None = None,
    on_epoch: OnEpoch | None = None,
) -> Fitted:
    """Train ``network`` by ``recipe`` and return its weights of the epoch with the lowest validation loss.

    Checkpoints go to ``folder`` (nowhere without one); one that is there is gone on from, and the result is
    the same to the last bit on a processor as without the interruption. ``of`` says what is trained: a
    checkpoint of something else is refused. ``loss_of`` replaces the recipe's loss for training (not for
    validation), ``after_step`` is called after each step of the optimiser. The test part is not looked at.
    """
    workers = workers or Workers()
    with _reproducible(recipe.fit.threads):
        loop = _Loop(network, recipe, data, folder, of, workers, loss_of, after_step)
        resumed = loop.resume()
        for epoch in range(loop.epoch, recipe.fit.epochs):
            if loop.is_over():
                break
            done = loop.pass_over(epoch)
            if on_epoch and workers.writes:
                on_epoch(done)
        return loop.result(resumed)


class _Loop:
    """The state of a training that runs."""

    def __init__(
        self,
        network: Scaled,
        recipe: Recipe,
        data: Prepared,
        folder: Path | None,
        of: str,
        workers: Workers,
        loss_of: LossOf | None,
        after_step: AfterStep | None,
    ) -> None:
        self._how = recipe.fit
        self._folder = folder
        self._of = of
        self._workers = workers
        self._bare = network
        self._network = workers.wrap(network, recipe.fit.strategy)
        self._train, self._validation = (
            _tensors(part, recipe, data, workers.device) for part in (data.train, data.validation)
        )
        self._loss = _loss(self._how, data.task)
        self._train_loss = loss_of or self._loss
        self._after_step = after_step
        self._classes = data.task == CLASSIFICATION
        self._optimiser = optimiser(self._how, self._network)
        half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(self._how.precision)
        kind = workers.device.partition(":")[0]
        self._autocast: Any = partial(torch.autocast, kind, dtype=half, enabled=half is not None)
        self._scaler = torch.amp.GradScaler(kind, enabled=half is torch.float16)
        self._per_epoch = math.ceil(len(data.train) / self._how.batch_size)
        self.epoch = self._step = 0
        self._sums = [0.0, 0.0]
        self._history: list[dict[str, float]] = []
        self._best: dict[str, Any] = {}
        self._best_loss = math.inf
        self._best_epoch = 0

    def resume(self) -> int | None:
        """Go to where the checkpoint is, if there is one; returns how many epochs are over."""
        found = checkpoint.read(self._folder, of=self._of) if self._folder else None
        if found is None:
            return None
        self._workers.restore(self._network, self._optimiser, found.weights, found.optimiser)
        self._scaler.load_state_dict(found.scaler)
        self.epoch, self._step = found.epoch, found.step
        # They were added up over all processes: one of them goes on from the sum, the others from nothing.
        self._sums = found.sums if self._workers.writes else [0.0, 0.0]
        self._history = found.history
        self._best, self._best_loss, self._best_epoch = found.best, found.best_loss, found.best_epoch
        return found.epoch

    def is_over(self) -> bool:
        """Whether the validation loss has stood still for as long as the recipe allows."""
        stopping = self._how.early_stopping
        return stopping is not None and len(self._history) - self._best_epoch >= stopping.patience

    def pass_over(self, epoch: int) -> Epoch:
        self.epoch = epoch
        inputs, targets = self._train
        self._network.train()
        order = torch.randperm(len(targets), generator=_generator(self._how.seed, epoch))
        rate = self._how.learning_rate
        for step in range(self._step, self._per_epoch):
            rows = order[step * self._how.batch_size :][: self._how.batch_size]
            rate = self._one_step(step, inputs[rows], targets[rows])
            self._step = step + 1
            every = self._how.checkpoint_steps
            if every and self._step % every == 0 and self._step < self._per_epoch:
                self._save()
        done = self._measured(epoch, rate)
        self._history.append(asdict(done))
        self._keep_if_best(done)
        self.epoch, self._step, self._sums = epoch + 1, 0, [0.0, 0.0]
        self._save()
        return done

    def _one_step(self, step: int, inputs: Tensor, targets: Tensor) -> float:
        now = self.epoch * self._per_epoch + step
        steps = self._how.epochs * self._per_epoch
        rate = self._how.learning_rate * factor(
            self._how.schedule, step=now, steps=steps, per_epoch=self._per_epoch
        )
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        whole = len(targets)
        # Drawn for the whole batch, so that it is the same whoever takes which rows of it.
        if self._how.shift_pixels:
            inputs = self._shifted(inputs, _generator(self._how.seed, self.epoch, step))
        torch.manual_seed(_mixed(self._how.seed, self.epoch, step, self._workers.rank))
        inputs, targets = self._workers.share(inputs), self._workers.share(targets)
        self._optimiser.zero_grad()
        total = self._summed(inputs, targets)
        # Processes average their gradients: times their number over the whole batch is the mean over it.
        self._scaler.scale(total * (self._workers.count / whole)).backward()  # type: ignore[no-untyped-call]
        if self._how.clip_norm is not None:
            self._scaler.unscale_(self._optimiser)
            nn.utils.clip_grad_norm_(self._network.parameters(), self._how.clip_norm)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        if self._after_step:
            self._after_step(self._bare)
        self._sums[0] += float(total.detach())
        self._sums[1] += len(targets)
        return rate

    def _summed(self, inputs: Tensor, targets: Tensor) -> Tensor:
        with self._autocast():
            if len(targets):
                return self._train_loss(inputs, self._network(inputs), targets)
            # A last batch with fewer rows than processes: who has none still takes part in the averaging.
            row = self._train[0][:1]
            answer: Tensor = self._network(row)
            return answer.sum() * 0.0

    def _shifted(self, inputs: Tensor, generator: torch.Generator) -> Tensor:
        depth, height, width = self._how.image or (1, 1, 1)
        return shifted(inputs, (depth, height, width), self._how.shift_pixels, generator)

    def _measured(self, epoch: int, rate: float) -> Epoch:
        train, rows = self._workers.sum(self._sums)
        loss, score, count = self._workers.sum(self._on_validation())
        if not (math.isfinite(train) and math.isfinite(loss)):
            raise FitError(
                f"the loss is not a number any more in epoch {epoch + 1}",
                hint="Lower `fit.learning_rate`, or set `fit.clip_norm`.",
            )
        return Epoch(epoch + 1, train / rows, loss / count, score / count, rate)

    @torch.no_grad()
    def _on_validation(self) -> list[float]:
        self._network.eval()
        sums = [0.0, 0.0, 0.0]
        inputs, targets = self._validation
        for start in range(0, len(targets), _EVALUATED_AT_ONCE):
            batch = slice(start, start + _EVALUATED_AT_ONCE)
            own_inputs = self._workers.share(inputs[batch])
            own_targets = self._workers.share(targets[batch])
            if not len(own_targets):
                # Sharded parameters are gathered by all processes together.
                self._network(inputs[:1])
                continue
            answers = self._network(own_inputs)
            sums[0] += float(self._loss(own_inputs, answers, own_targets))
            sums[1] += _score(answers, own_targets, classes=self._classes)
            sums[2] += len(own_targets)
        return sums

    def _keep_if_best(self, done: Epoch) -> None:
        least = self._how.early_stopping.least if self._how.early_stopping else 0.0
        if done.validation_loss < self._best_loss - least:
            self._best_loss, self._best_epoch = done.validation_loss, done.number
            self._best = self._workers.weights(self._network)

    def _save(self) -> None:
        if self._folder is None:
            return
        weights, steps = self._workers.state(self._network, self._optimiser)
        sums = self._workers.sum(self._sums)
        if self._workers.writes:
            now = Checkpoint(
                of=self._of,
                epoch=self.epoch,
                step=self._step,
                weights=weights,
                optimiser=steps,
                scaler=self._scaler.state_dict(),
                sums=sums,
                history=self._history,
                best_loss=self._best_loss,
                best_epoch=self._best_epoch,
                best=self._best,
            )
            checkpoint.write(now, self._folder)

    def result(self, resumed: int | None) -> Fitted:
        history = tuple(_epoch(line) for line in self._history)
        stopped = len(history) < self._how.epochs
        return Fitted(self._best, history, self._best_epoch, stopped, resumed)


def _epoch(line: dict[str, float]) -> Epoch:
    return Epoch(
        int(line["number"]),
        line["train_loss"],
        line["validation_loss"],
        line["score"],
        line["learning_rate"],
    )


def optimiser(how: Fit, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser that the recipe names."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    rate, decay = how.learning_rate, how.weight_decay
    match how.optimiser:
        case "sgd":
            return torch.optim.SGD(parameters, lr=rate, weight_decay=decay, momentum=how.momentum)
        case "adam":
            return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, lr=rate, weight_decay=decay, momentum=how.momentum)
        case "adagrad":
            return torch.optim.Adagrad(parameters, lr=rate, weight_decay=decay)
        case _:
            return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)


def shifted(inputs: Tensor, image: tuple[int, int, int], pixels: int, generator: torch.Generator) -> Tensor:
    """Move each picture by up to ``pixels`` in both directions; what comes in at the edge is 0."""
    depth, height, width = image
    count = len(inputs)
    padded = functional.pad(inputs.view(count, depth, height, width), [pixels] * 4)
    offsets = torch.randint(0, 2 * pixels + 1, (count, 2), generator=generator).to(inputs.device)
    down = (offsets[:, 0, None] + torch.arange(height, device=inputs.device))[:, None, :, None]
    across = (offsets[:, 1, None] + torch.arange(width, device=inputs.device))[:, None, None, :]
    which = torch.arange(count, device=inputs.device)[:, None, None, None]
    layer = torch.arange(depth, device=inputs.device)[None, :, None, None]
    return padded[which, layer, down, across].flatten(1)


def _loss(how: Fit, task: str) -> LossOf:
    name = how.loss or ("cross_entropy" if task == CLASSIFICATION else "mse")
    if (name == "cross_entropy") != (task == CLASSIFICATION):
        raise RecipeError(
            f"`fit.loss` is `{name}`, and the data's task is {task}",
            hint="Leave `loss` out: it follows from the task.",
        )
    if name == "cross_entropy":
        smoothing = how.label_smoothing
        return lambda _inputs, answers, targets: functional.cross_entropy(
            answers, targets, reduction="sum", label_smoothing=smoothing
        )
    of: Any = {"mse": functional.mse_loss, "mae": functional.l1_loss, "huber": functional.huber_loss}[name]
    return lambda _inputs, answers, targets: of(answers.squeeze(1), targets, reduction="sum")


def _score(answers: Tensor, targets: Tensor, *, classes: bool) -> float:
    if classes:
        return float((answers.argmax(1) == targets).sum())
    return float(((answers.squeeze(1) - targets) ** 2).sum())


def _tensors(part: Part, recipe: Recipe, data: Prepared, device: str) -> tuple[Tensor, Tensor]:
    targets = torch.from_numpy(part.targets)
    if data.task != CLASSIFICATION:
        mean, deviation = target_scale(recipe, data)
        targets = (targets - mean) / deviation
    return torch.from_numpy(part.inputs).to(device), targets.to(device)


def _mixed(*numbers: int) -> int:
    """A seed that follows from ``numbers`` and looks like none of them."""
    text = "/".join(str(number) for number in numbers)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def _generator(*numbers: int) -> torch.Generator:
    return torch.Generator().manual_seed(_mixed(*numbers))


@contextmanager
def _reproducible(threads: int) -> Iterator[None]:
    """Kernels that add in one order, on a stated number of threads; as before afterwards."""
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    torch.set_num_threads(threads)
    # What `use_deterministic_algorithms` does, without importing a compiler that nothing here is compiled by.
    torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
