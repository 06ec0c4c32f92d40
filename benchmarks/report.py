"""``docs/benchmarks.md``: one section for each benchmark, each written by its own run."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

_HEAD = """# Benchmarks

Every table here is written by the program that its section names. Machines differ and this one is shared, so
what counts are the ratios within one run.
"""


def write_section(title: str, body: str, *, page: Path = PAGE) -> None:
    """Put ``body`` under ``## title``, in place of what stood there; other sections stay as they are."""
    text = page.read_text("utf-8") if page.exists() else _HEAD
    section = f"## {title}\n\n{body.rstrip()}\n"
    pattern = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if pattern.search(text):
        text = pattern.sub(lambda _: section + "\n", text)
    else:
        text = f"{text.rstrip()}\n\n{section}"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text.rstrip() + "\n", "utf-8")
