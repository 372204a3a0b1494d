"""The `eventbus` program: one file per command, each imported only when it runs, so that `--help` is instant."""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any, NoReturn

import click

COMMANDS = {
    "mock": "Run everything in one process: bus, generator, processor, PostgreSQL, HTTP. No Kafka, no Docker.",
    "serve": "Run the same application against a real Kafka and PostgreSQL.",
    "generate": "Write events to a file or stdout, as fast as they come.",
    "verify": "Test events of a file, topics or the store against the catalog and the ledger.",
    "stream": "Stream events into a real Kafka or other sinks at a chosen pace.",
    "process": "Run the Faust worker: Kafka → PostgreSQL.",
    "events": "List stored events.",
    "chain": "Draw one chain as a tree and explain it.",
    "stats": "Show totals, rates and percentiles.",
    "explain": "Tell where an event of a generated run comes from.",
    "catalog": "List, show, check, export, make and learn catalogs, and list scenarios.",
}
SURROUNDINGS = {errno.EACCES, errno.EDQUOT, errno.EIO, errno.ENOSPC, errno.EPERM, errno.EROFS}
"""What a disk or a terminal may refuse to anyone: no bugs."""
MODULES = {"events": "query", "chain": "query", "stats": "query", "serve": "mock"}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports a command's module on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(import_module(f"eventbus.cli.{MODULES.get(name, name)}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"no command {args[0]!r}; there are: {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            failed = failure(error)
            if failed is None:
                raise
            raise failed from error


class Failure(click.ClickException):
    """One line on stderr and an exit code; the stack is for bugs only."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def failure(error: Exception) -> Failure | None:
    """The one-line form of an error that is not a bug of ours; None for anything else."""
    from eventbus.catalog import CatalogError
    from eventbus.chains import ChainError
    from eventbus.errors import EventBusError
    from eventbus.processors.errors import ProcessorError

    if isinstance(error, CatalogError):
        return Failure(str(error), exit_code=2)
    if isinstance(error, EventBusError | ChainError | ProcessorError):
        return Failure(str(error))
    if isinstance(error, OSError) and error.errno in SURROUNDINGS:
        return Failure(str(error))
    return None


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="eventbus-mock", prog_name="eventbus")
def cli() -> None:
    """An event bus with believable traffic, and a processor that never miscounts.

    \b
    Try:
      eventbus mock                         everything, on this machine
      eventbus events --limit 5             what has been stored
      eventbus chain CORRELATION_ID         one chain as a tree
    """


def main() -> NoReturn:
    """Entry point of the `eventbus` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every terminal has all characters
    cli(prog_name="eventbus")
    raise SystemExit(0)
