"""The manual as its tests read it: README.md and the pages of eventbus/guide, and the fenced blocks in them.

Every block is run or validated. A comment `<!-- not run: REASON -->` on the line before a block marks one that cannot
run in a test; its `eventbus` commands are still parsed.

A YAML block whose first line is a comment `# NAME.yaml` is that file: it lies in the folder in which the examples of
every page run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "eventbus" / "guide"

block_pattern = re.compile(r"(?:^<!-- (?P<note>.*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
name_pattern = re.compile(r"# ([\w.-]+\.yaml)\n")


class Example(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    note: str
    """What the HTML comment before it says; empty without one."""

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def runs(self) -> bool:
        return not self.note.startswith("not run")

    @property
    def file(self) -> str | None:
        """The name of the file that a YAML block is."""
        match = name_pattern.match(self.text)
        return match[1] if match and self.language == "yaml" else None


class Page(NamedTuple):
    """A page with its examples."""

    name: str
    text: str
    examples: tuple[Example, ...]


def read_page(path: Path) -> Page:
    """The page in a file."""
    text = path.read_text(encoding="utf-8")
    examples = tuple(
        Example(
            path.name, text.count("\n", 0, match.start("text")), match["language"], match["text"], match["note"] or ""
        )
        for match in block_pattern.finditer(text)
    )
    return Page(path.name, text, examples)


README = read_page(ROOT / "README.md")
PAGES = [README, *map(read_page, sorted(FOLDER.glob("*.md")))]
FILES = {example.file: example.text for page in PAGES for example in page.examples if example.file}
"""The text of every file that the manual shows, by its name."""


def page(name: str) -> Page:
    """The page of this file name."""
    return next(page for page in PAGES if page.name == name)


def commands(example: Example) -> list[str]:
    """The commands of a block of shell, lines that end in a backslash or inside quotes joined."""
    shown = example.text.splitlines()
    if example.language == "console":
        shown = [line[2:] for line in shown if line.startswith("$ ")]
    lines: list[str] = []
    pending = ""
    for line in shown:
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1]
        elif pending.count("'") % 2:
            pending += "\n"
        else:
            lines.append(pending)
            pending = ""
    return [line for line in lines if line and not line.startswith("#")]
