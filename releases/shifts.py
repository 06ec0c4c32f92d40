"""Shifts: what a release in steps is to do, written down before it does anything.

A shift is a numbered, write-once record: whoever writes number N has the alias for a shift. From its
first step on the *ledger* says how far it is and how it ended, since every step is one line of it; so
nothing has to be kept in agreement. A shift that ends before its first step (its version failed a
check, say) leaves a second record, for want of a line.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from model_store.contract.errors import NotFoundError, SwitchyardError
from model_store.contract.keys import shift_end_key, shift_key, shifts_prefix
from model_store.contract.names import ByAlias, ByVersion
from model_store.numbered import newest
from model_store.ports import ObjectStore
from releases.errors import ShiftRunningError
from releases.ports import Executions
from releases.records import Line, canonical, is_shift_of, timestamp

PREPARE_PATIENCE_S = 3600.0
"""How long a shift may take until its first step before it no longer counts: a SnapStart version takes
minutes, and the state machine repeats what AWS throttles."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A release in steps: which version, with which shares, how long each, and under which conditions.

    ``shares`` are parts of one, rising. Each is held for ``bake_s`` seconds and until the version has
    answered ``min_requests``, at most for ``hold_s`` seconds more. ``after_line`` is the newest ledger
    line when it was asked for: anything newer, and the shift does not begin.
    """

    number: int
    id: str
    model: str
    alias: str
    version: int
    from_version: int
    shares: tuple[float, ...]
    bake_s: float
    hold_s: float
    min_requests: int
    after_line: int
    by: str
    at: str
    began: float
    reason: str = ""

    @property
    def ref(self) -> ByVersion:
        return ByVersion(self.model, self.version)

    @property
    def target(self) -> ByAlias:
        return ByAlias(self.model, self.alias)

    @property
    def where(self) -> dict[str, object]:
        """What names it in the state machine's input."""
        return {"model": self.model, "alias": self.alias, "number": self.number}

    def asks_the_same(self, other: Shift) -> bool:
        """Whether both would do the same, whoever asked."""
        return self.conditions() == other.conditions()

    def conditions(self) -> tuple[object, ...]:
        return (self.version, self.shares, self.bake_s, self.hold_s, self.min_requests)

    def lines(self, lines: list[Line]) -> list[Line]:
        """The lines of its steps so far: the first gave the first share."""
        return [line for line in lines if is_shift_of(line, self.id)]

    def has_begun(self, lines: list[Line]) -> bool:
        return bool(lines) and is_shift_of(lines[-1], self.id)

    def is_running(self, lines: list[Line], now: float) -> bool:
        """Whether it is on its way: it holds a share, or it may still take its first one."""
        if self.has_begun(lines):
            return True
        untouched = (lines[-1].line if lines else 0) == self.after_line
        return untouched and now < self.began + PREPARE_PATIENCE_S

    def to_json(self) -> bytes:
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Shift:
        body = json.loads(data)
        return cls(**{**body, "shares": tuple(body["shares"])})


class Shifts:
    """All shifts of one alias."""

    def __init__(self, store: ObjectStore, ref: ByAlias) -> None:
        self._store = store
        self._ref = ref

    def newest(self) -> Shift | None:
        """The last one that was asked for, however it ended."""
        number, _ = self._newest()
        return self.load(number) if number else None

    def running(self, lines: list[Line], now: float) -> Shift | None:
        """The shift that has the alias at the moment, if any."""
        return self.running_and_next(lines, now)[0]

    def running_and_next(self, lines: list[Line], now: float) -> tuple[Shift | None, int]:
        """The running shift, and the number that the next one has to claim.

        From one listing, so that of two who find the alias free one claim fails.
        """
        number, ended = self._newest()
        if not number or ended:
            return None, number + 1
        shift = self.load(number)
        return (shift if shift.is_running(lines, now) else None), number + 1

    def load(self, number: int) -> Shift:
        return Shift.from_json(self._store.get(shift_key(self._ref.model, self._ref.alias, number)))

    def claim(self, shift: Shift) -> bool:
        """Take the alias for ``shift``; false if somebody else took that number first."""
        key = shift_key(self._ref.model, self._ref.alias, shift.number)
        return self._store.try_put_once(key, shift.to_json())

    def end(self, number: int, why: str, at: float) -> None:
        """Note that a shift ended before its first step. The first note stands."""
        key = shift_end_key(self._ref.model, self._ref.alias, number)
        self._store.try_put_once(key, canonical({"why": why, "at": timestamp(at)}))

    def why_ended(self, number: int) -> str | None:
        """Why a shift ended before its first step; ``None`` if it did not."""
        try:
            note = self._store.get(shift_end_key(self._ref.model, self._ref.alias, number))
        except NotFoundError:
            return None
        return str(json.loads(note)["why"])

    def _newest(self) -> tuple[int, bool]:
        """The newest shift's number, and whether it ended before its first step; from one look."""
        last = newest(self._store, shifts_prefix(self._ref.model, self._ref.alias))
        return last.number, any(key.endswith(".ended") for key in last.keys)


def end_execution(executions: Executions | None, shift: str, reason: str) -> tuple[str, ...]:
    """End what drove a shift that is over already: its next state would find that out by itself."""
    try:
        if executions is not None:
            executions.end(shift, reason)
    except SwitchyardError as error:
        return (f"the execution of the shift could not be ended: {error}; it ends itself at its next state",)
    return ()


def refuse_while_running(shift: Shift | None, lines: list[Line], instead: str) -> None:
    """Raise ``ShiftRunningError`` if there is one; ``instead`` is the command for who cannot wait."""
    if shift is None:
        return
    steps = shift.lines(lines)
    share = sum(steps[-1].plan.weights.values()) if steps else 0.0
    raise ShiftRunningError(
        f"`{shift.target}` is being shifted from `{shift.model}:{shift.from_version}` to `{shift.ref}` "
        f"({share:.0%} so far, asked for by {shift.by} at {shift.at})",
        hint=f"Wait for it (`yard watch {shift.model}`), stop it (`yard stop {shift.model}`), "
        f"or break the glass: `{instead}`.",
    )
