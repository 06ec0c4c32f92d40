"""Compile the code of a function for the Python it will run on.

Lambda unpacks a function's code where nothing can be written, so what is not compiled is compiled again at
every cold start: forty modules cost more than all the imports they make.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def compile_for(python: str, folder: Path) -> bool:
    """Put bytecode beside every module below ``folder``; ``False`` if no such Python is on this machine.

    ``python`` is a version, ``3.13``. What is compiled is never compared with its source again: a zip keeps
    no times, and nobody changes the one without the other.
    """
    interpreter = find_interpreter(python)
    if interpreter is None:
        return False
    command = [interpreter, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run(
        [*command, "-s", str(folder), str(folder)],
        check=True,
        capture_output=True,
        # Sets of constants are written in hash order, so the order must not be drawn anew.
        env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONHASHSEED": "0"},
    )
    for cache in folder.rglob("__pycache__"):
        cache.chmod(0o755)
        for compiled in cache.iterdir():
            compiled.chmod(0o644)
    return True


def find_interpreter(python: str) -> str | None:
    """An interpreter of that version. A name on PATH proves nothing, so the candidate is asked."""
    if python == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    candidate = shutil.which(f"python{python}")
    if candidate is None:
        return None
    asked = [candidate, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return candidate if done.stdout.strip() == python else None
