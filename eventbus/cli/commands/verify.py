"""`eventbus verify`: is a file of events, a topic or the store what it claims to be?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from eventbus.cli.options import (
    Paths,
    bootstrap_option,
    catalog_option,
    chain_option,
    chosen_catalog,
    database_options,
    json_option,
)
from eventbus.cli.scenario import scenario_options
from eventbus.cli.security import security_options
from eventbus.cli.verify_sources import Topics, of_file, of_store, of_topics

if TYPE_CHECKING:
    from eventbus.catalog import Catalog, Scenario
    from eventbus.chains.verification import Check, Report
    from eventbus.chains.verification.streams import Reading
    from eventbus.kafka import KafkaSecurity

SHOWN = 5
"""Findings of one check that are printed; `--json` has all."""


@click.command()
@click.argument("file", type=click.File("rb"), required=False)
@click.option(
    "--topic",
    "topics",
    type=Topics(),
    metavar="NAME,…",
    help="Instead of a file: what these topics hold now; `*` stands for anything.",
)
@click.option("--store", is_flag=True, help="Instead of a file: what the processor stored.")
@scenario_options
@click.option("--ledger", type=click.File("rb"), metavar="FILE", help="What `--ledger` wrote for this run.")
@catalog_option
@chain_option
@click.option(
    "--significance",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.001,
    show_default=True,
    help="Share of sound runs whose figures are called wrong by chance.",
)
@bootstrap_option
@security_options
@database_options
@json_option
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
    """Hold a whole run against the catalog and its ledger: FILE, JSON lines, or what topics or the store have of it.

    Checked are the events themselves, their ids, order, times, causes and tenants, the walks of the chains, the shares
    of chains and branches (chi-square) and the delays (Kolmogorov–Smirnov); with a ledger also that everything in it is
    there and nothing else. Exit code 1: a check failed. `-` reads stdin.

    In topics, a record's key is its chain, which is in one partition; order is that within the partitions. The store
    has every event once and no order: what came again, and what was no event, is held against the processor's account.

    \b
    Examples:
      eventbus verify events.jsonl
      eventbus verify events.jsonl --ledger ledger.jsonl --json
      eventbus verify --topic 'omninode.*' --bootstrap-servers localhost:9092 --ledger ledger.jsonl
      eventbus verify --store --ledger ledger.jsonl
      eventbus generate --chains 5000 --chain vault-read | eventbus verify - --chain vault-read
    """
    from eventbus.chains.errors import InvalidLedger
    from eventbus.chains.verification import judged

    if (file is not None) + (topics is not None) + store != 1:
        raise click.UsageError("expected one of FILE, --topic and --store")
    catalog = chosen_catalog(paths, names, scenario)
    name, reading = _read(file, topics, catalog, **options)
    try:
        phases = scenario.phases if scenario else ()
        report = judged(reading, catalog, ledger=ledger, significance=significance, phases=phases)
    except InvalidLedger as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        import orjson

        click.echo(orjson.dumps(report.to_dict(), option=orjson.OPT_INDENT_2))
    else:
        click.echo(f"{name}: {report.lines:,} lines, {report.events:,} events of {report.chains:,} chains")
        for check in report.checks:
            click.echo(described(check, report))
        click.echo(summary(report))
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
    """What is to be verified, with its name."""
    if file is not None:
        return getattr(file, "name", "stdin"), of_file(file, catalog)
    if topics is not None:
        return ", ".join(topics), of_topics(topics, bootstrap_servers, security, catalog)
    return "store", of_store(database_url, data_dir, catalog)


def described(check: Check, report: Report) -> str:
    """A line for a check, and one for each of its first findings."""
    verdict = "ok  " if check.passed else "FAIL"
    if not check.tested:
        verdict = "-   "
    lines = [f"{verdict}  {check.name:<10} {check.rule} ({check.tested:,})"]
    for finding in check.findings[:SHOWN]:
        place = report.place_of(finding)
        name = "" if finding.fault is None else f"[{finding.fault}] "
        lines.append(f"        {name}{f'{place}: ' if place else ''}{finding.sentence}")
    if len(check.findings) > SHOWN:
        lines.append(f"        and {len(check.findings) - SHOWN:,} more")
    return "\n".join(lines)


def summary(report: Report) -> str:
    """The verdict, with every fault by name."""
    if report.passed and not report.faults:
        return "passed"
    if report.ledger is not None:
        faults = [f"{kind} {found:,} of {count:,}" for kind, (count, found) in sorted(report.ledger.items())]
        shown = f"faults of the ledger found: {', '.join(faults) or 'there are none'}"
    else:
        shown = f"looks like: {', '.join(f'{kind} {count:,}' for kind, count in sorted(report.faults.items()))}"
    failed = ", ".join(check.name for check in report.checks if not check.passed)
    return f"{shown}\n{f'failed: {failed}' if failed else 'passed'}"
