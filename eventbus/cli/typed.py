"""A command as the user typed it, to be shown to others: without what is nobody's business."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

import click

SECRET = ("--sasl-password", "--openpanel-client-secret", "--http-header", "--schema-registry-auth")
"""Options whose values are not repeated."""
HIDDEN = "…"
KEY = "eventbus.typed"


class Remembering(click.Command):
    """A command that knows its arguments as they were typed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[KEY] = list(args)
        return super().parse_args(ctx, args)


def typed(ctx: click.Context) -> str:
    """The whole command, without secrets.

    Args:
        ctx: of a `Remembering` command.
    """
    return " ".join(["eventbus", str(ctx.info_name), *map(shlex.quote, _shown(ctx.meta[KEY]))])


def _shown(arguments: Sequence[str]) -> Iterator[str]:
    hide = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if hide or (name in SECRET and equals):
            yield f"{name}={HIDDEN}" if equals and not hide else HIDDEN
        else:
            yield re.sub(r"//[^/@\s]+@", f"//{HIDDEN}@", argument)
        hide = not hide and argument in SECRET
