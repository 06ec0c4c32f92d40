"""Pins: while a model version is released anywhere, the Lambda alias ``v7`` leads to it.

A caller who asks for ``/versions/7`` is answered through it, whatever ``live`` means
(``functions.inference.pinned``). A version is released anywhere if it is a standing step of some
alias: what it serves, or what a rollback could go back to. Pins follow the ledgers and decide nothing:
they are put right after a move, and a crash before that is mended by whoever moves next. Lambda itself
deletes no version that an alias points at, so a pin also keeps its version.

Nothing is deleted: when a version is released nowhere any more its pin is *parked*, that is, moved to
a Lambda version of another model version, whose honest answer to ``/versions/7`` is a 404. So neither
the operations function nor anybody else needs the permission to delete an alias.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping
from contextlib import suppress

from model_store.contract.deployment import is_declarable, pin_alias, pinned_version
from model_store.contract.errors import SwitchyardError
from model_store.contract.keys import ledger_prefix
from model_store.numbered import newest
from model_store.ports import ObjectStore
from releases.collected import collected
from releases.errors import LostRaceError, NotDeployedError
from releases.ledger import Ledger, aliases_with_history, standing
from releases.ports import AliasState, FunctionConfig, Functions
from releases.prepare import served_by
from releases.records import UNRELEASED, Line, Note, Prepared

_ROUNDS = 5
_WAY_OUT = "the next move of any of its aliases puts it right, and releasing what is live does too"


class Pins:
    """The pins of one model."""

    def __init__(self, store: ObjectStore, functions: Functions, *, model: str, function: str) -> None:
        self._store = store
        self._functions = functions
        self._model = model
        self._function = function

    def settle(
        self, prepared: Iterable[Prepared] = (), *, known: Mapping[str, list[Line]] | None = None
    ) -> None:
        """Make, move and remove pins until they are what the ledgers say. Safe to repeat.

        ``prepared`` are Lambda versions known to be the best ones for their model versions; a pin
        that is not among them stays where it is. ``known`` are ledgers that were read already.
        It looks again after changing anything, since others move aliases meanwhile.
        """
        best = {item.version: item.lambda_version for item in prepared if item.version}
        lines = dict(known or {})
        for _ in range(_ROUNDS):
            newest = self._newest_lines()
            wanted = self._wanted(newest, lines, best)
            undisturbed = self._change(wanted, best)
            if undisturbed and self._newest_lines() == newest:
                return

    def leave(self, going: Collection[str]) -> None:
        """Park every pin that leads to one of these Lambda versions, for which there is a tombstone by now.

        ``settle`` does not lead it back. A pin that somebody else moves at the same time is left alone.
        """
        states = self._functions.aliases(self._function)
        free = [state.version for state in states if state.version not in going]
        catalog = [state.version for state in states if pinned_version(state.alias) is None]
        for state in states:
            version = pinned_version(state.alias)
            if version is None or state.version not in going:
                continue
            for target in (*catalog, *free):
                if target not in going and served_by(self._config(target)) != version:
                    with suppress(LostRaceError):
                        self._move(state, to=target, note=_note(UNRELEASED))
                    break

    def _config(self, lambda_version: str) -> FunctionConfig | None:
        return self._functions.config(self._function, lambda_version)

    def warning(
        self, prepared: Iterable[Prepared] = (), *, known: Mapping[str, list[Line]] | None = None
    ) -> tuple[str, ...]:
        """``settle`` after a move: the move is done, so what goes wrong here is said and not raised."""
        try:
            self.settle(prepared, known=known)
        except SwitchyardError as error:
            said = f"which versions of `{self._model}` can be asked for by number is not up to date: {error}"
            return (f"{said}; {_WAY_OUT}",)
        return ()

    def present(self) -> dict[int, str]:
        """The model versions that can be asked for by number, and their Lambda versions."""
        return {
            version: state.version for version, state in self._found().items() if not _parked(version, state)
        }

    def differences(self) -> list[str]:
        """Each pin that is missing or left over, as a sentence with a way out."""
        wanted, found = self._wanted(self._newest_lines(), {}, ()), self.present()
        missing = [
            f"`{self._model}:{version}` is released and cannot be asked for by number; {_WAY_OUT}"
            for version in sorted(wanted.keys() - found.keys())
            if self._functions.config(self._function, wanted[version]) is not None
        ]
        left = [
            f"`{self._model}:{version}` is released nowhere and can still be asked for by number; {_WAY_OUT}"
            for version in sorted(found.keys() - wanted.keys())
        ]
        return missing + left

    def _newest_lines(self) -> dict[str, int]:
        """The number of the newest line of each ledger."""
        aliases = aliases_with_history(self._store, self._model)
        return {alias: newest(self._store, ledger_prefix(self._model, alias)).number for alias in aliases}

    def _wanted(
        self, numbers: dict[str, int], known: dict[str, list[Line]], best: Container[int]
    ) -> dict[int, str]:
        """The model versions that stand in any ledger, each with a Lambda version that served it.

        Not those whose Lambda version was collected, unless a ``best`` one is known that was not.
        """
        wanted: dict[int, str] = {}
        for alias, number in numbers.items():
            if not known.get(alias) or known[alias][-1].line < number:
                known[alias] = Ledger(self._store, self._model, alias).lines()
            for step in standing(known[alias]):
                latest = max(int(wanted.get(step.version, "0")), int(step.lambda_version))
                wanted[step.version] = str(latest)
        gone = collected(self._store, self._model)
        return {version: at for version, at in wanted.items() if version in best or (version, at) not in gone}

    def _found(self) -> dict[int, AliasState]:
        states = self._functions.aliases(self._function)
        pins = ((pinned_version(state.alias), state) for state in states)
        return {version: state for version, state in pins if version is not None}

    def _change(self, wanted: dict[int, str], best: dict[int, str]) -> bool:
        """Whether nobody was in the way."""
        states = self._functions.aliases(self._function)
        found = {version: state for state in states if (version := pinned_version(state.alias)) is not None}
        undisturbed = True
        for version in wanted.keys() | found.keys():
            state = found.get(version)
            try:
                if version not in wanted:
                    self._park(version, state, wanted, states)
                elif state is None:
                    self._functions.create_alias(
                        self._function,
                        pin_alias(version),
                        version=best.get(version, wanted[version]),
                        note=_note(version),
                    )
                else:
                    self._lead(state, version, best.get(version), wanted[version])
            except LostRaceError:
                undisturbed = False
            except NotDeployedError:
                # Somebody deleted that Lambda version: there is nothing to lead to.
                continue
        return undisturbed

    def _lead(self, state: AliasState, version: int, best: str | None, wanted: str) -> None:
        """Let a pin lead to its version: to the best one known, else to wherever it leads already."""
        target = best or (wanted if _parked(version, state) else state.version)
        if _parked(version, state) or state.version != target or state.weights:
            self._move(state, to=target, note=_note(version))

    def _park(
        self, version: int, state: AliasState | None, wanted: dict[int, str], states: list[AliasState]
    ) -> None:
        """Let a pin lead to another model version, or to where an alias out of service leads."""
        if state is None or _parked(version, state):
            return
        elsewhere = [wanted[other] for other in sorted(wanted, reverse=True)]
        elsewhere += [other.version for other in states if is_declarable(other.alias)]
        for target in elsewhere:
            if served_by(self._functions.config(self._function, target)) != version:
                self._move(state, to=target, note=_note(UNRELEASED))
                return

    def _move(self, state: AliasState, *, to: str, note: str) -> None:
        self._functions.move_alias(
            self._function, state.alias, version=to, note=note, revision=state.revision
        )


def _note(version: int) -> str:
    return Note(0, "", version).to_text()


def _parked(version: int, state: AliasState) -> bool:
    note = Note.from_text(state.note)
    return note is not None and note.version != version
