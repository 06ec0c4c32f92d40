"""The documentation as data: pages, their fenced blocks, their links, the paths they name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"`[^`\n]+`")
_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, whether it is executed, where it begins."""

    page: str
    line: int
    language: str
    runs: bool
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def commands(self) -> list[str]:
        """The commands of a shell block, each on one line, comments and empty lines left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


@cache
def pages() -> tuple[Path, ...]:
    """Every page of ours: the root's, and all below ``docs`` and ``examples``."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return tuple(sorted(found))


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    found = []
    for fence in _FENCE.finditer(text):
        language, _, flag = fence["info"].strip().partition(" ")
        line = text.count("\n", 0, fence.start()) + 1
        found.append(Block(name_of(page), line, language, flag == "run", fence["text"]))
    return found


def every_block(language: str) -> list[Block]:
    return [block for page in pages() for block in blocks(page) if block.language == language]


def links(page: Path) -> list[str]:
    """Targets of links and pictures outside code, the web's left out."""
    prose = _CODE.sub("", _FENCE.sub("", page.read_text("utf-8")))
    targets = [found["target"] for found in _LINK.finditer(prose)]
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """The names that headings get: lower case, hyphens for spaces, nothing else."""
    prose = _FENCE.sub("", page.read_text("utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", heading["text"].strip().lower()).replace(" ", "-")
        for heading in _HEADING.finditer(prose)
    }


def code_words(page: Path) -> list[str]:
    """What stands between single backticks outside fenced blocks."""
    return [word.strip("`") for word in _CODE.findall(_FENCE.sub("", page.read_text("utf-8")))]
