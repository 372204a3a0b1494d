"""`eventbus explain`: where an event of a generated run comes from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import orjson

from eventbus.cli.arrivals import ArrivalOptions, arrival_options
from eventbus.cli.options import Paths, catalog_option, chain_option, json_option
from eventbus.cli.scenario import scenario_options
from eventbus.cli.tenants import tenants_option
from eventbus.cli.types import Instant

if TYPE_CHECKING:
    from eventbus.catalog import Scenario
    from eventbus.catalog.model import Tenants
    from eventbus.chains.stream import Explanation


@click.command()
@click.argument("event_id")
@scenario_options
@click.option("--seed", type=int, default=0, show_default=True, help="Of the run that the event is from.")
@click.option("--start", type=Instant(), default="2026-01-01T00:00:00Z", show_default=True, help="Of that run.")
@click.option("--rate", type=float, default=10.0, show_default=True, help="Of that run.")
@arrival_options
@tenants_option
@chain_option
@catalog_option
@json_option
def explain(
    *,
    scenario: Scenario | None,
    event_id: str,
    seed: int,
    start: datetime,
    rate: float,
    arrivals: ArrivalOptions,
    tenants: Tenants | None,
    names: tuple[str, ...],
    paths: Paths,
    as_json: bool,
) -> None:
    """Tell where an event of `eventbus generate` comes from: chain, step, and the whole chain as it was meant.

    The event's id has its time, and the run is made anew around it: give the arguments that the run had.

    \b
    Example:
      eventbus explain 019b76da-c7e6-7cb0-9ac9-0aac07622d4a
    """
    from eventbus.chains import InvalidSetting
    from eventbus.cli.commands.generate import chosen_generator

    generator = chosen_generator(
        paths, names, scenario, seed=seed, start=start, rate=rate, arrivals=arrivals.model(rate), tenants=tenants
    )
    try:
        found = generator.explain(event_id)
    except InvalidSetting as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(orjson.dumps(_document(found)))
    else:
        _show(found)


def _document(found: Explanation) -> dict[str, Any]:
    return {
        "index": found.index,
        "chain": found.chain,
        "step": found.step,
        "path": [
            {
                "state": step.state,
                "delay_ms": step.delay.total_seconds() * 1000,
                "cause": step.cause,
                "event": step.event.to_dict(),
            }
            for step in found.path
        ],
    }


def _show(found: Explanation) -> None:
    total = len(found.path)
    click.echo(f"event {found.step + 1} of {total} in chain {found.index}, {found.chain}")
    for number, (state, delay, event, cause) in enumerate(found.path):
        mark = "→" if number == found.step else " "
        after = f"+{delay.total_seconds() * 1000:,.3f} ms" if number else ""
        if cause is not None and cause != number - 1:
            after = f"after event {cause + 1}  {after}"
        click.echo(f"{mark} {event.timestamp:%Y-%m-%dT%H:%M:%S.%fZ}  {after:>16}  {state:<16}  {event.event_type}")
