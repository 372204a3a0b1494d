"""`eventbus verify`: checks events in a file, in topics or in the store against the catalog and the ledger."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from eventbus.cli.command import Command, option, option_group
from eventbus.cli.options.common import (
    STORE,
    Paths,
    catalog_option,
    chain_option,
    chosen_catalog,
    chosen_database,
    database_options,
    json_option,
)
from eventbus.cli.options.kafka import CONNECTION, bootstrap_option, security_options
from eventbus.cli.options.scenario import scenario_option, set_option, with_scenario
from eventbus.cli.render.progress import lines_with_progress, progress_bar

if TYPE_CHECKING:
    from eventbus.catalog import Catalog, Scenario
    from eventbus.chains.verification import Check, Report
    from eventbus.chains.verification.streams import Reading
    from eventbus.kafka import KafkaSecurity

MAX_FINDINGS = 5
"""Findings of one check that are printed; `--json` has all."""
PAGE_SIZE = 5000
"""Stored events that are fetched together."""


def topic_patterns(text: str) -> tuple[str, ...]:
    """Names of topics, separated by commas."""
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise click.BadParameter(f"expected names of topics, joined by commas, got {text!r}")
    return names


@click.command(cls=Command)
@click.argument("file", type=click.File("rb"), required=False)
@with_scenario
@option_group(
    "What to verify",
    option(
        "--topic",
        "topics",
        type=topic_patterns,
        metavar="NAME,…",
        help="Instead of a file: the records that these topics hold now; `*` matches any text.",
    ),
    option("--store", is_flag=True, help="Instead of a file: the events that the processor stored."),
)
@option_group(
    "What to compare with",
    scenario_option,
    set_option,
    catalog_option,
    chain_option,
    option("--ledger", type=click.File("rb"), metavar="FILE", help="The file that --ledger wrote for this run."),
    option(
        "--significance",
        type=click.FloatRange(0, 1, min_open=True, max_open=True),
        default=0.001,
        help="Probability that a run without mistakes fails a statistical check by chance.",
    ),
)
@option_group(CONNECTION, bootstrap_option)
@security_options
@option_group(STORE, *database_options)
@option_group("Output", json_option)  # fmt: skip
def verify(
    *,
    scenario: Scenario | None,
    file: BinaryIO | None,
    topics: tuple[str, ...] | None,
    store: bool,
    ledger: BinaryIO | None,
    paths: Paths,
    names: tuple[str, ...],
    significance: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Check a whole run against the catalog and its ledger: FILE (JSON lines, `-` for stdin), topics, or the store.

    Checks the events themselves, their ids, order, times, causes and tenants, the paths of the chains, the shares of
    chains and branches (chi-square) and the delays (Kolmogorov–Smirnov). With a ledger, also that the run has
    everything in it and nothing else. Exit code 1: a check failed.

    In topics, the key of a record is its chain, all of a chain is in one partition, and order is checked within
    partitions. The store has each event once and no order: repeated records, and records that were no events, are
    checked against the processor's counts.

    Memory: about 150 MB, 55 MB for a million events, and 1 kB for each fault and finding. From 100,000 events on there
    is a temporary file (TMPDIR) of about 150 MB for a million events, and 75 MB more with a ledger.

    \b
    Examples:
      eventbus verify events.jsonl
      eventbus verify events.jsonl --ledger ledger.jsonl --json
      eventbus verify --topic 'omninode.*' --bootstrap-servers localhost:9092 --ledger ledger.jsonl
      eventbus verify --store --ledger ledger.jsonl
      eventbus generate --chains 5000 --chain vault-read | eventbus verify - --chain vault-read
    """
    from eventbus.chains.errors import InvalidLedger
    from eventbus.chains.verification import verify as verify_stream

    if (file is not None) + (topics is not None) + store != 1:
        raise click.UsageError("expected one of FILE, --topic and --store")
    catalog = chosen_catalog(paths, names, scenario)
    name, reading = _read(file, topics, catalog, **options)
    try:
        phases = scenario.phases if scenario else ()
        with progress_bar("checking", 1.0) as bar:
            report = verify_stream(
                reading, catalog, ledger=ledger, significance=significance, phases=phases, on_progress=bar.move_to
            )
    except InvalidLedger as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        import orjson

        click.echo(orjson.dumps(report.to_dict(), option=orjson.OPT_INDENT_2))
    else:
        click.echo(f"{name}: {report.lines:,} lines, {report.events:,} events of {report.chains:,} chains")
        for check in report.checks:
            click.echo(check_text(check, report))
        click.echo(verdict_text(report))
    click.get_current_context().exit(not report.passed)


def _read(
    file: BinaryIO | None,
    topics: tuple[str, ...] | None,
    catalog: Catalog,
    *,
    bootstrap_servers: str,
    security: KafkaSecurity,
    database_url: str | None,
    data_dir: Path | None,
) -> tuple[str, Reading]:
    """The name and the content of what is to be verified."""
    if file is not None:
        return getattr(file, "name", "stdin"), _read_file(file, catalog)
    if topics is not None:
        return ", ".join(topics), _read_topics(topics, bootstrap_servers, security, catalog)
    return "store", _read_store(database_url, data_dir, catalog)


def _read_file(file: BinaryIO, catalog: Catalog) -> Reading:
    """The lines of a file."""
    from eventbus.chains.verification.streams import read

    with lines_with_progress(file, "verifying") as lines:
        return read(lines, catalog)


def _read_topics(topics: tuple[str, ...], bootstrap_servers: str, security: KafkaSecurity, catalog: Catalog) -> Reading:
    """The records that topics hold now.

    Raises:
        EventBusError: the broker cannot be reached, or has no such topic.
    """
    from eventbus.chains.verification.streams import RecordReader
    from eventbus.kafka.connection import Connection
    from eventbus.kafka.snapshot import TopicSnapshot

    async def read() -> Reading:
        reader = RecordReader(catalog)
        connection = Connection(bootstrap_servers=bootstrap_servers, security=security)
        async with TopicSnapshot(connection, topics) as snapshot:
            with progress_bar("verifying", snapshot.total) as bar:
                async for records in snapshot.batches():
                    reader.add(records)
                    bar.advance(len(records))
        return reader.reading()

    return asyncio.run(read())


def _read_store(database_url: str | None, data_dir: Path | None, catalog: Catalog) -> Reading:
    """The events in the store, and the processor's counts.

    Raises:
        StoreError: the store cannot be used, or is empty.
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
            with progress_bar("verifying", sum(account.new for account in accounts)) as bar:
                while True:
                    page = await store.events(limit=PAGE_SIZE, cursor=cursor)
                    reader.add(page.events)
                    bar.advance(len(page.events))
                    cursor = page.next_cursor
                    if cursor is None:
                        break
            dead_letters = await store.dead_letters(limit=max(sum(account.dead for account in accounts), 1))
        dead = [(f"{letter.topic}[{letter.partition}]@{letter.offset}", letter.value) for letter in dead_letters]
        return reader.reading(dead, accounts)

    with chosen_database(database_url, data_dir, create=False) as server:
        return asyncio.run(read(server.dsn))


def check_text(check: Check, report: Report) -> str:
    """A line for the check, and one for each of its first findings."""
    verdict = "ok  " if check.passed else "FAIL"
    if not check.tested:
        verdict = "-   "
    lines = [f"{verdict}  {check.name:<10} {check.rule} ({check.tested:,})"]
    for finding in check.findings[:MAX_FINDINGS]:
        place = report.place_of(finding)
        name = "" if finding.fault is None else f"[{finding.fault}] "
        lines.append(f"        {name}{f'{place}: ' if place else ''}{finding.sentence}")
    if len(check.findings) > MAX_FINDINGS:
        lines.append(f"        and {len(check.findings) - MAX_FINDINGS:,} more")
    return "\n".join(lines)


def verdict_text(report: Report) -> str:
    """The verdict, and the faults by kind."""
    if not report.lines and report.ledger is None:
        return "failed: there is nothing to check"
    if report.passed and not report.faults:
        return "passed"
    if report.ledger is not None:
        faults = [f"{kind} {found:,} of {count:,}" for kind, (count, found) in sorted(report.ledger.items())]
        shown = f"faults of the ledger found: {', '.join(faults) or 'there are none'}"
    else:
        shown = f"looks like: {', '.join(f'{kind} {count:,}' for kind, count in sorted(report.faults.items()))}"
    failed = ", ".join(check.name for check in report.checks if not check.passed)
    return f"{shown}\n{f'failed: {failed}' if failed else 'passed'}"
