"""Where `eventbus verify` reads from: a file, topics, or the store."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from eventbus.cli.options import chosen_database

if TYPE_CHECKING:
    from eventbus.catalog import Catalog
    from eventbus.chains.verification.streams import Reading
    from eventbus.kafka import KafkaSecurity

    Advance = Callable[[int], None]

PAGE = 5000
"""Stored events that are fetched together."""


class Topics(click.ParamType):
    """Names of topics, joined by commas."""

    name = "topics"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in str(value).split(","))
        if not all(names):
            self.fail(f"expected names of topics, joined by commas, got {value!r}", param, ctx)
        return names


def of_file(file: BinaryIO, catalog: Catalog) -> Reading:
    """The lines of a file."""
    from eventbus.chains.verification.streams import read
    from eventbus.cli.render.progress import reading

    with reading(file, "verifying") as lines:
        return read(lines, catalog)


def of_topics(topics: tuple[str, ...], bootstrap_servers: str, security: KafkaSecurity, catalog: Catalog) -> Reading:
    """The records that topics hold now.

    Raises:
        EventBusError: the broker cannot be reached, or has no such topic.
    """
    from eventbus.chains.verification.streams import RecordReader
    from eventbus.kafka.connection import Connection
    from eventbus.kafka.snapshot import TopicSnapshot

    async def read() -> Reading:
        reader = RecordReader(catalog)
        async with TopicSnapshot(
            Connection(bootstrap_servers=bootstrap_servers, security=security), topics
        ) as snapshot:
            with _bar(snapshot.total) as advance:
                async for records in snapshot.batches():
                    reader.add(records)
                    advance(len(records))
        return reader.reading()

    return asyncio.run(read())


def of_store(database_url: str | None, data_dir: Path | None, catalog: Catalog) -> Reading:
    """What the store holds now, and what it counted.

    Raises:
        StoreError: it cannot be used, or nothing was ever stored.
    """
    from eventbus.chains.verification.streams import PartitionCounts, StoreReader
    from eventbus.processors.store import EventStore

    async def read(dsn: str) -> Reading:
        reader, cursor = StoreReader(catalog), None
        async with EventStore.open(dsn, create=False, connections=1) as store:
            accounts = [
                PartitionCounts(
                    f"{row.group}/{row.topic}[{row.partition}]", row.read, row.new, row.duplicates, row.dead
                )
                for row in await store.conservation()
            ]
            with _bar(sum(account.new for account in accounts)) as advance:
                while True:
                    page = await store.events(limit=PAGE, cursor=cursor)
                    reader.add(page.events)
                    advance(len(page.events))
                    cursor = page.next_cursor
                    if cursor is None:
                        break
            letters = await store.dead_letters(limit=max(sum(account.dead for account in accounts), 1))
        dead = [(f"{one.topic}[{one.partition}]@{one.offset}", one.value) for one in letters]
        return reader.reading(dead, accounts)

    with chosen_database(database_url, data_dir, create=False) as server:
        return asyncio.run(read(server.dsn))


@contextmanager
def _bar(total: int) -> Iterator[Advance]:
    """A bar on a terminal."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("verifying", total=total)
        yield lambda count: bar.advance(task, count)
