"""The `eventbus` program. Each command is a module that is imported when it runs, which keeps `--help` fast."""

from __future__ import annotations

import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from eventbus.cli.errors import INTERRUPTED, failure

COMMANDS = {
    "mock": "Run everything in one process: bus, generator, processor, PostgreSQL, HTTP. No Kafka, no Docker.",
    "serve": "Run the same application on a real Kafka and PostgreSQL.",
    "generate": "Write generated events to a file or stdout, as fast as possible.",
    "verify": "Check events in a file, in topics or in the store against the catalog and the ledger.",
    "stream": "Stream generated events into Kafka or other sinks at a chosen rate.",
    "process": "Run the Faust worker, which stores events from Kafka in PostgreSQL.",
    "events": "List stored events.",
    "chain": "Show one chain as a tree and explain it.",
    "stats": "Show totals, rates and percentiles of stored events and chains.",
    "explain": "Show where an event of a generated run comes from.",
    "catalog": "List, show, check, export, create and learn catalogs; list scenarios.",
    "guide": "Show a page of the manual.",
}
MODULES = {"events": "query", "chain": "query", "stats": "query", "serve": "mock"}
"""The module of a command in `eventbus.cli.commands`, where it is not named after the command."""


class LazyGroup(click.Group):
    """A group that imports the module of a command on first use and reports expected errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(import_module(f"eventbus.cli.commands.{MODULES.get(name, name)}"), name)
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
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            raise click.exceptions.Exit(INTERRUPTED) from None
        except Exception as error:
            expected = failure(error)
            if expected is None:
                raise
            raise expected from error


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="eventbus-mock", prog_name="eventbus")
def cli() -> None:
    """An event bus with believable traffic, and a processor that never miscounts.

    \b
    Try:
      eventbus mock                         everything, on this machine
      eventbus events --limit 5             the newest stored events
      eventbus chain CORRELATION_ID         one chain as a tree
    """


def main() -> NoReturn:
    """Entry point of the `eventbus` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every terminal can show all characters
    cli(prog_name="eventbus")
    raise SystemExit(0)
