"""`eventbus verify`: is a file of events what it claims to be?"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

import click

from eventbus.cli.options import Paths, catalog_option, chain_option, chosen_catalog, json_option
from eventbus.cli.reading import reading
from eventbus.cli.scenario import scenario_options

if TYPE_CHECKING:
    from catalog import Scenario
    from chains.verification import Check, Report

SHOWN = 5
"""Findings of one check that are printed; `--json` has all."""


@click.command()
@click.argument("file", type=click.File("rb"))
@scenario_options
@click.option("--ledger", type=click.File("rb"), metavar="FILE", help="What `generate --ledger` wrote for this run.")
@catalog_option
@chain_option
@click.option(
    "--significance",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.001,
    show_default=True,
    help="Share of sound runs whose figures are called wrong by chance.",
)
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    *,
    scenario: Scenario | None,
    file: BinaryIO,
    ledger: BinaryIO | None,
    paths: Paths,
    names: tuple[str, ...],
    significance: float,
    as_json: bool,
) -> None:
    """Hold FILE, a whole run as JSON lines, against the catalog and its ledger.

    Checked are the events themselves, their ids, order, times, causes and tenants, the walks of the chains, the shares
    of chains and branches (chi-square) and the delays (Kolmogorov–Smirnov); with a ledger also that everything in it is
    in the file and nothing else. Exit code 1: a check failed. `-` reads stdin.

    \b
    Examples:
      eventbus verify events.jsonl
      eventbus verify events.jsonl --ledger ledger.jsonl --json
      eventbus generate --chains 5000 --chain vault-read | eventbus verify - --chain vault-read
    """
    from chains.errors import InvalidLedger
    from chains.verification import verify as verified

    catalog = chosen_catalog(paths, names, scenario)
    try:
        with reading(file, "verifying") as lines:
            report = verified(
                lines,
                catalog,
                ledger=ledger,
                significance=significance,
                phases=scenario.phases if scenario else (),
            )
    except InvalidLedger as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        import orjson

        click.echo(orjson.dumps(report.to_dict(), option=orjson.OPT_INDENT_2))
    else:
        name = getattr(file, "name", "stdin")
        click.echo(f"{name}: {report.lines:,} lines, {report.events:,} events of {report.chains:,} chains")
        for check in report.checks:
            click.echo(described(check))
        click.echo(summary(report))
    ctx.exit(not report.passed)


def described(check: Check) -> str:
    """A line for a check, and one for each of its first findings."""
    verdict = "ok  " if check.passed else "FAIL"
    if not check.tested:
        verdict = "-   "
    lines = [f"{verdict}  {check.name:<10} {check.rule} ({check.tested:,})"]
    for fault, line, _, sentence in check.findings[:SHOWN]:
        place = "" if line is None else f"line {line:,}: "
        name = "" if fault is None else f"[{fault}] "
        lines.append(f"        {name}{place}{sentence}")
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
