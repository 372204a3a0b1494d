"""What all commands show in the same way: what came from elsewhere is text on a terminal, never a code or markup."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

WIDE = 200
"""Columns where nobody looks: a pipe gets every line whole."""

ACTION_COLOURS = {"requested": "cyan", "started": "blue", "failed": "red"}
GOOD, BAD = "green", "red"


def new_console() -> Console:
    """Of stdout; brackets and colons in a text are just that."""
    console = Console(highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, emoji=False, width=WIDE)


def printable(text: str) -> str:
    """Without what a terminal would obey."""
    return "".join(c if c.isprintable() else "�" for c in text)


def colour(name: str) -> str:
    """Of an event type by its action, or of a state."""
    action = name.split(".")[-2] if "." in name else name
    return ACTION_COLOURS.get(action, GOOD)


def figures_table(*columns: str) -> Table:
    """A name on the left, numbers on the right."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table
