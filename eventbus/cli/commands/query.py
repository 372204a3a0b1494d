"""`eventbus events`, `eventbus chain` and `eventbus stats`: what is stored, also while a mock runs on the same data."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from eventbus.cli.options import (
    Paths,
    catalog_option,
    chosen_catalog,
    chosen_database,
    database_options,
    json_option,
)
from eventbus.cli.types import TypeName
from eventbus.durations import parse_moment

if TYPE_CHECKING:
    from eventbus.processors.store import EventStore

T = TypeVar("T")

UNKNOWN = 1
"""Exit code when what was asked for is not stored."""

MOST_EVENTS = 1_000_000
"""Events in one answer: they are held in memory."""


class Identifier(click.ParamType):
    """A UUID, in lower-case text form."""

    name = "uuid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return str(UUID(value))
        except ValueError:
            self.fail(f"expected a UUID such as 0199a0b0-0000-7000-8000-00000000000a, got {value!r}", param, ctx)


class Since(click.ParamType):
    """How long ago (`1h`), or a time in ISO 8601."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        moment = parse_moment(value)
        if isinstance(moment, timedelta):
            with suppress(OverflowError):
                return datetime.now(UTC) - moment
        elif moment is not None:
            return moment
        return self.fail(f"expected how long ago, such as 1h, or a time such as 2026-01-01T00:00:00Z, got {value!r}")


@click.command()
@click.option("--correlation-id", type=Identifier(), help="Of one chain.")
@click.option(
    "--type",
    "event_type",
    type=TypeName(),
    help="Such as omninode.agent.execution.failed.v1, or page_visited for visitors.",
)
@click.option("--tenant", "tenant_id")
@click.option("--since", type=Since(), help="How long ago (30s, 1h, 2d), or a time in ISO 8601.")
@click.option("--limit", type=click.IntRange(1, MOST_EVENTS), default=20, show_default=True, help="The newest so many.")
@database_options
@json_option
def events(as_json: bool, database_url: str | None, data_dir: Path | None, **wanted: Any) -> None:
    """List stored events, the newest last.

    With --json, one event a line. Exits with 1 when there is no event of the --correlation-id.

    \b
    Examples:
      eventbus events --limit 5
      eventbus events --type omninode.agent.execution.failed.v1 --since 1h
      eventbus events --correlation-id 0199a0b0-0000-7000-8000-00000000000a --json
    """
    page = _ask(lambda store: store.events(**wanted), database_url, data_dir)
    if not page.events and wanted["correlation_id"]:
        raise _unknown(f"no event of the chain {wanted['correlation_id']} is stored")
    if as_json:
        for event in reversed(page.events):
            click.echo(event.to_bytes())
        return
    from eventbus.cli.render import query as view

    view.print_events(page.events[::-1])
    if not page.events:
        click.echo("no event matches", err=True)


@click.command()
@click.argument("correlation_id", type=Identifier(), metavar="CORRELATION_ID")
@catalog_option
@database_options
@json_option
def chain(correlation_id: str, paths: Paths, as_json: bool, database_url: str | None, data_dir: Path | None) -> None:
    """Draw one chain as a tree, with times and gaps, and explain it.

    Exits with 1 when nothing of it is stored.

    \b
    Example: eventbus chain 0199a0b0-0000-7000-8000-00000000000a
    """
    stored = _ask(lambda store: store.chain(correlation_id), database_url, data_dir)
    if stored is None:
        raise _unknown(f"no chain {correlation_id} is stored")
    seen = {event.event_type for event in stored.events}
    differences = chosen_catalog(paths).differences(stored.chain, seen, stored.outcome)
    if as_json:
        from eventbus.views import chain_dict

        _print_json(chain_dict(stored, differences))
    else:
        from eventbus.cli.render import query as view

        view.print_chain(stored, differences)


@click.command()
@click.option("--tenant", "tenant_id")
@click.option("--since", type=Since(), help="How long ago (30s, 1h, 2d), or a time in ISO 8601; to the minute.")
@database_options
@json_option
def stats(
    tenant_id: str | None, since: datetime | None, as_json: bool, database_url: str | None, data_dir: Path | None
) -> None:
    """Show totals, rates and percentiles (within 1 %) of events and chains.

    \b
    Example: eventbus stats --since 1h
    """
    found = _ask(lambda store: store.statistics(since=since, tenant_id=tenant_id), database_url, data_dir)
    if as_json:
        _print_json(found)
        return
    from eventbus.cli.render import query as view

    view.print_statistics(found)


def _ask(question: Callable[[EventStore], Awaitable[T]], database_url: str | None, data_dir: Path | None) -> T:
    """Put a question to the store; it is not made for that when there is none."""
    from eventbus.processors.store import EventStore

    async def ask(dsn: str) -> T:
        async with EventStore.open(dsn, create=False, connections=1) as store:
            return await question(store)

    with chosen_database(database_url, data_dir, create=False) as server:
        return asyncio.run(ask(server.dsn))


def _unknown(message: str) -> click.ClickException:
    from eventbus.cli.errors import Failure

    return Failure(message, exit_code=UNKNOWN)


def _print_json(document: Any) -> None:
    import orjson

    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
