"""Run a program that ends with the process that started it: ``python -P with_parent.py PARENT_PID PROGRAM
…``.

The kernel is asked to send SIGKILL when the parent's thread ends, and keeps that over ``exec``. Where there
is no such kernel the program outlives a killed cloud. It imports nothing of this project.
"""

from __future__ import annotations

import os
import sys

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9


def main() -> None:
    """Become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)
    os.execvp(program[0], program)  # noqa: S606 - that is what it is for


if __name__ == "__main__":
    main()
