"""Unfit marks: a Lambda version that failed before it ever passed its checks is written down and never used.

Lambda publishes nothing where nothing changed: the same model on the same base would get the failed
Lambda version back. So the number of marks is part of what the next attempt publishes, and what failed
for a passing reason can be tried again while what failed stays as it is, for whoever wants to look.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from model_store.contract.errors import AlreadyExistsError
from model_store.contract.keys import number_in, prepared_prefix, unfit_key, unfit_prefix
from model_store.ports import ObjectStore
from releases.records import Prepared, canonical

_LONGEST_REASON = 2_000


@dataclass(frozen=True, slots=True)
class Unfit:
    """A Lambda version that was to be a model version on a base and failed; why, and who asked for it."""

    model: str
    version: int
    base: str
    lambda_version: str
    why: str
    by: str
    at: str


class UnfitMarks:
    """The marks of one store. They are written once and never taken back."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def mark(self, half_made: Prepared, *, why: str, by: str, at: str) -> None:
        """Write down that ``half_made`` failed. Of two who find so, the first one's reason stays."""
        unfit = Unfit(
            half_made.model,
            half_made.version,
            half_made.base,
            half_made.lambda_version,
            why[:_LONGEST_REASON],
            by,
            at,
        )
        key = unfit_key(unfit.model, unfit.version, unfit.base, int(unfit.lambda_version))
        try:
            self._store.put_once(key, canonical(asdict(unfit)))
        except AlreadyExistsError:
            return

    def failed(self, model: str, version: int, base: str) -> int:
        """How many attempts to make this version on this base have failed."""
        prefix = unfit_key(model, version, base, 0).rpartition("-")[0]
        return sum(1 for _ in self._store.keys(f"{prefix}-"))

    def all(self, model: str) -> list[Unfit]:
        """Every mark of ``model``, the oldest first."""
        found = [Unfit(**json.loads(self._store.get(key))) for key in self._store.keys(unfit_prefix(model))]
        return sorted(found, key=lambda unfit: (unfit.at, int(unfit.lambda_version)))

    def outstanding(self, model: str) -> list[Unfit]:
        """The newest mark of each version that has not passed its checks since, the oldest first."""
        newest = {unfit.version: unfit for unfit in self.all(model)}
        return [
            unfit
            for unfit in newest.values()
            if int(unfit.lambda_version) > self._last_passed(model, unfit.version)
        ]

    def _last_passed(self, model: str, version: int) -> int:
        keys = self._store.keys(prepared_prefix(model, version))
        return max((_lambda_version_in(key) for key in keys), default=0)


def _lambda_version_in(key: str) -> int:
    folder, _, name = key.rpartition("/")
    return number_in(f"{folder}/{name.rpartition('-')[2]}")
