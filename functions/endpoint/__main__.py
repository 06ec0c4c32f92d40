"""``python -m functions.endpoint``, and ``… serve`` as SageMaker starts a container."""

from __future__ import annotations

import sys

from functions.endpoint.server import main
from model_store.contract.errors import SwitchyardError


def run(arguments: list[str]) -> int:
    """Serve; anything but no argument or ``serve`` is a mistake of whoever wrote the command."""
    if arguments not in ([], ["serve"]):
        sys.stderr.write("python -m functions.endpoint takes no argument, or `serve`\n")
        return 2
    try:
        return main()
    except SwitchyardError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:]))
