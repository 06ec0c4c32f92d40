"""Waves: what a rebase in waves is to do, and what came of each wave, as write-once records.

A *campaign* is one rebase in waves of one stage. Whoever writes its number has the stage for it. Each wave
has two records: that it began (with what was wrong before it, which is not held against the new base), and
how it was judged. The judgement is the commit point: what follows from it (accepting the base, or putting the
wave back) may be repeated by anybody, so a campaign that was killed goes on wherever it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from model_store.contract.errors import NotFoundError
from model_store.contract.keys import (
    REBASES_PREFIX,
    rebase_end_key,
    rebase_key,
    wave_began_key,
    wave_judged_key,
)
from model_store.numbered import newest
from model_store.ports import ObjectStore
from releases.errors import ReleaseError
from releases.records import canonical

Part = float | tuple[str, ...]
"""How a wave is asked for: up to which share of the models it goes, or which models it takes."""

HELD, BAD = "held", "bad"
DONE = "done"


@dataclass(frozen=True, slots=True)
class Campaign:
    """A rebase in waves: which models in which wave, to which bases, each wave watched ``bake_s`` seconds.

    ``bases`` are the hashes of the bases that waited when it was asked for. ``at`` is a timestamp.
    """

    number: int
    waves: tuple[tuple[str, ...], ...]
    bases: dict[str, str]
    bake_s: float
    by: str
    at: str
    reason: str = ""

    def why(self, wave: int) -> str:
        """What the ledger says of a move in a wave, counted from 1; it names the wave and no other."""
        said = f"wave {wave} of {len(self.waves)} of rebase {self.number}"
        return f"{said}: {self.reason}" if self.reason else said

    def asks_the_same(self, other: Campaign) -> bool:
        """Whether both would move the same models in the same waves and look as long."""
        return (self.waves, self.bases, self.bake_s) == (other.waves, other.bases, other.bake_s)

    def to_json(self) -> bytes:
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Campaign:
        body = json.loads(data)
        return cls(**{**body, "waves": tuple(tuple(wave) for wave in body["waves"])})


@dataclass(frozen=True, slots=True)
class Began:
    """What a wave began with: alarms that fired and aliases that failed already, and what is too slow."""

    at: float
    firing: tuple[str, ...] = ()
    ailing: tuple[str, ...] = ()
    limits_ms: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> bytes:
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Began:
        body = json.loads(data)
        return cls(**{**body, "firing": tuple(body["firing"]), "ailing": tuple(body["ailing"])})


@dataclass(frozen=True, slots=True)
class Judged:
    """How a wave was judged: ``held`` or ``bad``, and why."""

    how: str
    why: str
    by: str
    at: str

    def to_json(self) -> bytes:
        return canonical(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Judged:
        return cls(**json.loads(data))


@dataclass(frozen=True, slots=True)
class Ended:
    """How a campaign ended: ``done`` or ``bad``, and why."""

    how: str
    why: str = ""

    def to_json(self) -> bytes:
        return canonical(asdict(self))


class Campaigns:
    """The campaigns of one stage."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def newest(self) -> tuple[Campaign | None, Ended | None]:
        """The last one that was asked for, and how it ended if it did; from one look."""
        last = newest(self._store, REBASES_PREFIX)
        if not last.number:
            return None, None
        campaign = Campaign.from_json(self._store.get(rebase_key(last.number)))
        ended = any(key.endswith(".ended") for key in last.keys)
        return campaign, self.ended(last.number) if ended else None

    def running(self) -> Campaign | None:
        """The campaign that has the stage, if one does; one that was killed still does."""
        campaign, ended = self.newest()
        return campaign if ended is None else None

    def claim(self, campaign: Campaign) -> bool:
        """Take the stage for ``campaign``; false if somebody else took that number first."""
        return self._store.try_put_once(rebase_key(campaign.number), campaign.to_json())

    def begin(self, number: int, wave: int, began: Began) -> Began:
        """Note what a wave begins with. The first note stands, and is what everybody goes by."""
        key = wave_began_key(number, wave)
        if self._store.try_put_once(key, began.to_json()):
            return began
        return Began.from_json(self._store.get(key))

    def began(self, number: int, wave: int) -> Began | None:
        found = self._read(wave_began_key(number, wave))
        return Began.from_json(found) if found else None

    def judge(self, number: int, wave: int, judged: Judged) -> Judged:
        """Say how a wave went. The first judgement stands, and is what everybody goes by."""
        key = wave_judged_key(number, wave)
        if self._store.try_put_once(key, judged.to_json()):
            return judged
        return Judged.from_json(self._store.get(key))

    def judged(self, number: int, wave: int) -> Judged | None:
        found = self._read(wave_judged_key(number, wave))
        return Judged.from_json(found) if found else None

    def end(self, number: int, ended: Ended) -> Ended:
        """Let the stage go. The first word stands."""
        key = rebase_end_key(number)
        if self._store.try_put_once(key, ended.to_json()):
            return ended
        return Ended(**json.loads(self._store.get(key)))

    def ended(self, number: int) -> Ended | None:
        found = self._read(rebase_end_key(number))
        return Ended(**json.loads(found)) if found else None

    def _read(self, key: str) -> bytes | None:
        try:
            return self._store.get(key)
        except NotFoundError:
            return None


def in_waves(models: Iterable[str], parts: Sequence[Part]) -> tuple[tuple[str, ...], ...]:
    """Which models go in which wave: shares by name, what no part asks for in a last wave.

    A share counts all that went before it, so that ``5, 25`` are the first twentieth, then up to a quarter.
    A wave takes at least one model; a part that leaves nothing to take is no wave.

    >>> in_waves(["a", "b", "c", "d"], [25.0, ("d",)])
    (('a',), ('d',), ('b', 'c'))
    """
    left = sorted(models)
    count = len(left)
    waves: list[tuple[str, ...]] = []
    for part in parts:
        if isinstance(part, tuple):
            unknown = [name for name in part if name not in left]
            if unknown:
                raise ReleaseError(
                    f"`{unknown[0]}` waits for no wave, or is in an earlier one",
                    hint=f"Choose among {', '.join(f'`{name}`' for name in left) or 'no models: all move'}.",
                )
            taken = part
        else:
            taken = tuple(left[: max(math.ceil(count * part / 100) - (count - len(left)), 0)])
        left = [name for name in left if name not in taken]
        waves += [taken] if taken else []
    return (*waves, tuple(left)) if left else tuple(waves)
