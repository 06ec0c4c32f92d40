"""Build the runtime layer: pinned wheels, pruned, with bytecode, checked, inside the budget.

``python -m layers.build --for local|x86_64|arm64 [--out FOLDER]`` makes ``FOLDER/python/...`` and
``FOLDER.json`` (``layers.facts``). The same inputs give the same files; a second call with the same
inputs builds nothing. Everything happens in a folder beside, which takes the place of the old layer
at the end: whatever goes wrong before, the old layer still stands. Two builds of one layer wait for
each other.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from layers import check
from layers.facts import LayerError, LayerFacts, Package, facts_path, read_facts, write_facts
from layers.lock import FLOATS_LOCK, FLOATS_PYTHONS, IMAGE_LOCK, LOCK, PYTHONS, ROOM, TEXT_LOCK, wheels_in
from layers.prune import prune, size_of
from layers.targets import TARGETS, Target
from layers.tree import digest_of, files_of, largest_folders, settle

BUDGET_BYTES = 120_000_000
"""What a layer may take unzipped. Lambda allows 262,144,000 bytes for code and layers together
(AWS Lambda quotas), so at least 142 MB of them are left for the model and our own code."""

_OUT = Path("build") / "layers"


@dataclass(frozen=True, slots=True)
class Built:
    """A layer that stands at ``folder``; ``fresh`` is false when it already did."""

    folder: Path
    facts: LayerFacts
    fresh: bool


def build(
    target: Target, folder: Path, *, lock: Path | None = None, budget_bytes: int = BUDGET_BYTES
) -> Built:
    """Make the layer for ``target`` stand in ``folder``, from ``lock`` or the pins that are shipped.

    Raises ``LayerError`` when pip, a check or the budget refuses; what stood in ``folder`` stays. Safe
    to repeat, also after a crash at any point and beside another build of the same folder.
    """
    interpreter = check.find_interpreter(target.python)
    locks = _locks(target) if lock is None else (lock,)
    inputs = _inputs_of(target, locks, interpreter, budget_bytes)
    with _alone(folder):
        if standing := _standing(folder, inputs):
            _say(target, f"nothing to do, `{folder}` is built from the same inputs")
            return Built(folder, standing, fresh=False)
        _refuse_to_replace_other_things(folder)
        unfinished = _empty(folder.with_name(folder.name + ".building"))
        try:
            facts = _make(target, unfinished, locks, interpreter, inputs, budget_bytes)
            _take_the_place(unfinished, folder, facts)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return Built(folder, facts, fresh=True)


def _locks(target: Target) -> tuple[Path, ...]:
    beside = {
        TEXT_LOCK: target.text,
        IMAGE_LOCK: target.image,
        FLOATS_LOCK: target.python in FLOATS_PYTHONS,
    }
    return (LOCK, *(lock for lock, wanted in beside.items() if wanted))


def _make(
    target: Target,
    folder: Path,
    locks: tuple[Path, ...],
    interpreter: str | None,
    inputs: str,
    budget_bytes: int,
) -> LayerFacts:
    root = folder / "python"
    _say(target, f"installing the pinned wheels for CPython {target.python} on {target.machine}")
    packages = _install(target, root, locks)
    _say(target, f"pruned {_mb(prune(root))}, {_mb(size_of(root))} left")
    _compile(target, root, interpreter)
    settle(folder)
    unzipped = size_of(folder)
    if unzipped > budget_bytes:
        raise _over_budget(target, root, unzipped, budget_bytes)
    check.inspect(root, target)
    runs = interpreter is not None and _is_at_home(target)
    if interpreter is not None and runs:
        check.serve(root, interpreter)
        if target.text:
            check.tokenise(root, interpreter)
        if target.image:
            check.look(root, interpreter)
    else:
        _say(target, "cannot run on this machine: its libraries were read, nothing was imported")
    facts = LayerFacts(
        target=target.name,
        python=target.python,
        machine=target.machine,
        packages=packages,
        unzipped_bytes=unzipped,
        budget_bytes=budget_bytes,
        files=sum(1 for _ in files_of(folder)),
        sha256=digest_of(folder),
        bytecode=interpreter is not None,
        checked="ran" if runs else "inspected",
        inputs=inputs,
    )
    _say(target, f"{_mb(unzipped)} in {facts.files} files, {facts.checked}, sha256 {facts.sha256[:12]}…")
    return facts


def _install(target: Target, root: Path, locks: tuple[Path, ...]) -> dict[str, Package]:
    report = root.with_name("report.json")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-compile", "--no-deps"]
    command += ["--require-hashes", "--only-binary=:all:", "--disable-pip-version-check"]
    command += ["--ignore-installed", "--target", str(root), "--report", str(report)]
    for lock in locks:
        command += ["-r", str(lock)]
    done = subprocess.run([*command, *target.pip_options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise _pip_failed(target, done.stderr)
    wheels = wheels_in(report.read_text("utf-8"))
    report.unlink()
    return {
        wheel.name: Package(wheel.version, wheel.file, wheel.sha256)
        for wheel in sorted(wheels, key=lambda wheel: wheel.name)
    }


def _pip_failed(target: Target, said: str) -> LayerError:
    hint = "Look at pip's own words above; the same command may work later."
    if "No module named pip" in said:
        hint = "Run `python -m ensurepip`, or use a Python that has pip."
    elif "DO NOT MATCH THE HASHES" in said:
        hint = "Do not install it: a package index serves other bytes than the pinned ones."
    elif "No matching distribution" in said:
        hint = f"Use CPython {PYTHONS[0]} to {PYTHONS[-1]} on Linux (x86_64, aarch64) or macOS 14+ (arm64)."
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("WARNING")]
    return LayerError(f"pip cannot install the layer for {target.name}: {' · '.join(lines[-4:])}", hint=hint)


def _compile(target: Target, root: Path, interpreter: str | None) -> None:
    """Compile every module, checked neither by time nor by content when it is imported.

    A function without bytecode starts at half the speed, and a zip keeps no times that bytecode
    could be compared with.
    """
    if interpreter is None:
        _say(target, f"no python{target.python} found: the layer carries no bytecode and starts slower")
        return
    command = [interpreter, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    done = subprocess.run(
        [*command, "-s", str(root.parent), str(root)],
        capture_output=True,
        text=True,
        check=False,
        # Sets of constants are written in hash order, so the order must not be drawn anew.
        env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONHASHSEED": "0"},
    )
    if done.returncode:
        raise LayerError(f"bytecode cannot be compiled: {(done.stdout + done.stderr).strip()[-600:]}")


def _over_budget(target: Target, root: Path, unzipped: int, budget_bytes: int) -> LayerError:
    largest = ", ".join(f"{name} {_mb(size)}" for name, size in largest_folders(root))
    return LayerError(
        f"the layer for {target.name} takes {unzipped} bytes, the budget is {budget_bytes}; "
        f"largest: {largest}",
        hint="Prune more in layers/prune.py, or leave a package out of layers/runtime.in.",
    )


def _is_at_home(target: Target) -> bool:
    """Say whether this machine can load the target's libraries; ``local`` is built where it runs."""
    return not target.platforms or (platform.system(), platform.machine()) == ("Linux", target.machine)


def _inputs_of(target: Target, locks: tuple[Path, ...], interpreter: str | None, budget_bytes: int) -> str:
    """Name everything that decides what the layer will be."""
    parts = [target.name, target.python, target.machine, platform.system(), str(budget_bytes)]
    parts.append(_identity_of(interpreter) if interpreter else "no bytecode")
    digest = hashlib.sha256("\n".join(parts).encode())
    for source in [*locks, *sorted(ROOM.glob("*.py"))]:
        digest.update(f"\n{source.name}\n".encode() + source.read_bytes())
    return digest.hexdigest()


def _identity_of(interpreter: str) -> str:
    """What of an interpreter shows in bytecode: two patch releases may compile differently."""
    return subprocess.run(
        [interpreter, "-I", "-S", "-c", "import sys; print(sys.implementation.cache_tag, sys.version)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def _standing(folder: Path, inputs: str) -> LayerFacts | None:
    """The facts of the layer in ``folder`` if it was made from ``inputs`` and is still whole."""
    try:
        facts = read_facts(folder)
    except LayerError:
        return None
    return facts if facts.inputs == inputs and digest_of(folder) == facts.sha256 else None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the right to change ``folder``; the system lets go of it if this process dies."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # A crash between the two renames of `_take_the_place` left the old layer aside: put it back.
        aside = _aside(folder)
        if aside.exists():
            if folder.exists():
                shutil.rmtree(aside)
            else:
                aside.rename(folder)
        yield


def _refuse_to_replace_other_things(folder: Path) -> None:
    """A misspelled ``--out`` must not cost somebody a folder."""
    holds = {path.name for path in folder.iterdir()} if folder.exists() else set()
    is_layer = holds == {"python"} and (
        facts_path(folder).exists() or (folder / "python" / "onnxruntime").exists()
    )
    if holds and not is_layer:
        raise LayerError(
            f"`{folder}` exists and is not a layer",
            hint="Choose another folder with `--out`, or empty this one.",
        )


def _take_the_place(unfinished: Path, folder: Path, facts: LayerFacts) -> None:
    aside = _aside(folder)
    if folder.exists():
        folder.rename(aside)
    unfinished.rename(folder)
    write_facts(folder, facts)
    shutil.rmtree(aside, ignore_errors=True)


def _aside(folder: Path) -> Path:
    return folder.with_name(folder.name + ".previous")


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _say(target: Target, text: str) -> None:
    sys.stderr.write(f"layer {target.name}: {text}\n")
    sys.stderr.flush()


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def main(arguments: list[str] | None = None) -> int:
    """Build one layer. Exit 0 when it stands, 1 when it was refused, 2 when misspelled."""
    parser = argparse.ArgumentParser(
        prog="python -m layers.build",
        description="Build the runtime layer: pinned, pruned, with bytecode, inside the budget.",
        epilog="example: python -m layers.build --for local",
    )
    parser.add_argument("--for", dest="target", required=True, choices=sorted(TARGETS))
    parser.add_argument("--out", type=Path, help="folder of the layer (default: build/layers/<for>)")
    parser.add_argument("--json", action="store_true", help="print the facts as JSON")
    options = parser.parse_args(arguments)
    folder = options.out or _OUT / options.target
    try:
        built = build(TARGETS[options.target], folder.absolute())
    except LayerError as error:
        sys.stderr.write(f"error: {error}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return 1
    if options.json:
        public = {"folder": str(folder), "fresh": built.fresh, **asdict(built.facts)}
        sys.stdout.write(json.dumps(public) + "\n")
    else:
        sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
