"""`eventbus events`, `eventbus chain` and `eventbus stats`: what is stored, also while a mock runs on the same data."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from eventbus.cli import types
from eventbus.cli.command import Command, option, option_group
from eventbus.cli.errors import Failure
from eventbus.cli.options.common import (
    STORE,
    Paths,
    catalog_option,
    chosen_catalog,
    chosen_database,
    database_options,
    json_option,
)

if TYPE_CHECKING:
    from eventbus.processors.store import EventStore

T = TypeVar("T")

NOT_STORED = 1
"""Exit code if nothing of the chain that was asked for is stored."""

MAX_EVENTS = 1_000_000
"""Events in one answer: they are held in memory."""

tenant_option = option("--tenant", "tenant_id", metavar="ID", help="Only this tenant.")
store_options = option_group(STORE, *database_options)
output_options = option_group("Output", json_option)


@click.command(cls=Command)
@option_group(
    "Which events",
    option("--correlation-id", type=types.uuid, metavar="ID", help="Only the events of this chain."),
    option(
        "--type", "event_type", type=types.event_type, metavar="TYPE",
        help="Only this type, such as omninode.agent.execution.failed.v1, or page_visited for visitors.",
    ),
    tenant_option,
    option(
        "--since", type=types.moment, metavar="TIME",
        help="Only events since then: how long ago (30s, 1h, 2d), or a time in ISO 8601.",
    ),
    option("--limit", type=click.IntRange(1, MAX_EVENTS), default=20, help="At most this many, the newest."),
)  # fmt: skip
@store_options
@output_options
def events(as_json: bool, database_url: str | None, data_dir: Path | None, **filters: Any) -> None:
    """List stored events, the newest last.

    With --json, prints one event per line. Exit code 1: no event of the --correlation-id is stored.

    \b
    Examples:
      eventbus events --limit 5
      eventbus events --type omninode.agent.execution.failed.v1 --since 1h
      eventbus events --correlation-id 0199a0b0-0000-7000-8000-00000000000a --json
    """
    page = _ask(lambda store: store.events(**filters), database_url, data_dir)
    if not page.events and filters["correlation_id"]:
        raise _not_stored(f"no event of the chain {filters['correlation_id']} is stored")
    if as_json:
        for event in reversed(page.events):
            click.echo(event.to_bytes())
        return
    from eventbus.cli.render import query as view

    view.print_events(page.events[::-1])
    if not page.events:
        click.echo("no event matches", err=True)


@click.command(cls=Command)
@click.argument("correlation_id", type=types.uuid, metavar="CORRELATION_ID")
@option_group("What to compare with", catalog_option)
@store_options
@output_options
def chain(correlation_id: str, paths: Paths, as_json: bool, database_url: str | None, data_dir: Path | None) -> None:
    """Show one chain as a tree, with times and gaps, and explain it.

    Exit code 1: no event of it is stored.

    \b
    Example: eventbus chain 0199a0b0-0000-7000-8000-00000000000a
    """
    stored = _ask(lambda store: store.chain(correlation_id), database_url, data_dir)
    if stored is None:
        raise _not_stored(f"no chain {correlation_id} is stored")
    event_types = {event.event_type for event in stored.events}
    differences = chosen_catalog(paths).differences(stored.chain, event_types, stored.outcome)
    if as_json:
        from eventbus.views import chain_dict

        _print_json(chain_dict(stored, differences))
    else:
        from eventbus.cli.render import query as view

        view.print_chain(stored, differences)


@click.command(cls=Command)
@option_group(
    "Which events",
    tenant_option,
    option(
        "--since", type=types.moment, metavar="TIME",
        help="Only events since then, to the minute: how long ago (30s, 1h, 2d), or a time in ISO 8601.",
    ),
)  # fmt: skip
@store_options
@output_options
def stats(
    tenant_id: str | None, since: datetime | None, as_json: bool, database_url: str | None, data_dir: Path | None
) -> None:
    """Show totals, rates and percentiles (within 1 %) of events and chains.

    \b
    Example: eventbus stats --since 1h
    """
    statistics = _ask(lambda store: store.statistics(since=since, tenant_id=tenant_id), database_url, data_dir)
    if as_json:
        _print_json(statistics)
        return
    from eventbus.cli.render import query as view

    view.print_statistics(statistics)


def _ask(query: Callable[[EventStore], Awaitable[T]], database_url: str | None, data_dir: Path | None) -> T:
    """The answer of the store, which must exist."""
    from eventbus.processors.store import EventStore

    async def ask(dsn: str) -> T:
        async with EventStore.open(dsn, create=False, connections=1) as store:
            return await query(store)

    with chosen_database(database_url, data_dir, create=False) as server:
        return asyncio.run(ask(server.dsn))


def _not_stored(message: str) -> click.ClickException:
    return Failure(message, exit_code=NOT_STORED)


def _print_json(document: Any) -> None:
    import orjson

    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
