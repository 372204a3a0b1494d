"""What all output to a terminal has in common: colours, and text from elsewhere without control characters."""

from __future__ import annotations

from rich.console import Console

PIPE_WIDTH = 200
"""Columns of output that does not go to a terminal."""

ACTION_COLOURS = {"requested": "cyan", "started": "blue", "failed": "red"}
GOOD, BAD = "green", "red"


def new_console() -> Console:
    """A console on stdout that prints brackets and colons in texts as they are."""
    console = Console(highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, emoji=False, width=PIPE_WIDTH)


def printable(text: str) -> str:
    """The text with `�` in place of characters that a terminal would obey."""
    return "".join(c if c.isprintable() else "�" for c in text)


def colour(name: str) -> str:
    """The colour of a state, or of an event type by its action."""
    action = name.split(".")[-2] if "." in name else name
    return ACTION_COLOURS.get(action, GOOD)


def clock(seconds: float) -> str:
    """`1:02:03`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:d}:{minutes:02d}:{seconds:02d}"
