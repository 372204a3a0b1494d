"""Commands whose `--help` shows options in named sections, and which know the arguments they were given."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

C = TypeVar("C", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

ARGUMENTS = "eventbus.arguments"
"""Key of a command's arguments in `click.Context.meta`."""
DOTENV = "eventbus.dotenv"
"""Key of the variables of a file `.env`, likewise."""
REDACTED = "…"


class Option(click.Option):
    """An option that shows its default, unless that is an empty text, and its environment variable in the help.

    Args:
        secret: its value is left out of `invocation`.
    """

    def __init__(self, *args: Any, secret: bool = False, **settings: Any) -> None:
        is_shown = settings.get("default") != ""
        super().__init__(*args, **{"show_default": is_shown, "show_envvar": True, **settings})
        self.secret = secret
        self.section = "Options"

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The value of its environment variable; where the environment has none, that of a file `.env`."""
        if not isinstance(self.envvar, str) or self.envvar in os.environ:
            return super().resolve_envvar_value(ctx)
        return dotenv_file(ctx).get(self.envvar) or None


def dotenv_file(ctx: click.Context) -> dict[str, str | None]:
    """The variables of the file `.env` in the current directory, read once for a command.

    Raises:
        click.UsageError: the file cannot be read.
    """
    if DOTENV not in ctx.meta:
        ctx.meta[DOTENV] = _read_dotenv(Path(".env"))
    variables: dict[str, str | None] = ctx.meta[DOTENV]
    return variables


def _read_dotenv(path: Path) -> dict[str, str | None]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return dict(dotenv_values(path, encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} cannot be read: {error}") from error


class Command(click.Command):
    """A command that groups its options in the help and remembers its arguments as they were typed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def option(*declarations: str, **settings: Any) -> Callable[[C], C]:
    """`click.option`, with the defaults of `Option`."""
    return click.option(*declarations, cls=Option, **settings)


def option_group(
    title: str, *options: Decorator, into: Callable[..., Any] | None = None, argument: str = ""
) -> Callable[[C], C]:
    """Adds options to a command, in the section `title` of its help; groups with the same title share a section.

    Args:
        into: called with the values of these options by name; the command gets its result instead of them.
        argument: the command's argument for that result.
    """

    def decorate(command: C) -> C:
        names: list[str] = []

        @wraps(command)
        def gathered(**values: Any) -> Any:
            assert into is not None
            return command(**{argument: into(**{name: values.pop(name) for name in names})}, **values)

        decorated: Any = gathered if into else command
        for add_option in reversed(options):
            decorated = add_option(decorated)
            parameter = decorated.__click_params__[-1]
            parameter.section = title
            names.append(parameter.name)
        return cast("C", decorated)

    return decorate


def invocation(ctx: click.Context) -> str:
    """The whole command line, without the values of secret options and without passwords in URLs.

    Args:
        ctx: of a `Command`.
    """
    secrets = {name for option in ctx.command.params if getattr(option, "secret", False) for name in option.opts}
    return " ".join(["eventbus", str(ctx.info_name), *map(shlex.quote, redacted(ctx.meta[ARGUMENTS], secrets))])


def redacted(arguments: Sequence[str], secrets: Collection[str]) -> Iterator[str]:
    """Arguments with `…` in place of secrets.

    Args:
        secrets: names of the options whose values are secret.
    """
    is_secret = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if is_secret:
            yield REDACTED
        elif equals and name in secrets:
            yield f"{name}={REDACTED}"
        else:
            yield re.sub(r"//[^/@\s]+@", f"//{REDACTED}@", argument)
        is_secret = not is_secret and argument in secrets
