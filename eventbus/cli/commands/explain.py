"""`eventbus explain`: where an event of `eventbus generate` comes from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
import orjson

from eventbus.cli import types
from eventbus.cli.command import Command, option, option_group
from eventbus.cli.options.arrivals import ArrivalOptions, arrival_options
from eventbus.cli.options.common import (
    Paths,
    at_end_option,
    catalog_option,
    chain_option,
    chosen_generator,
    fixed_seed_option,
    json_option,
    start_option,
    tenants_option,
)
from eventbus.cli.options.scenario import scenario_option, set_option, with_scenario

if TYPE_CHECKING:
    from eventbus.catalog import Scenario
    from eventbus.catalog.model import Tenants
    from eventbus.catalog.model.workload import AtEnd
    from eventbus.chains.stream import ExplainedStep, Explanation


@click.command(cls=Command)
@click.argument("event_id")
@with_scenario
@option_group(
    "The run that the event is from",
    scenario_option,
    set_option,
    catalog_option,
    chain_option,
    option("--duration", type=types.duration, help="Length of the run, at whose end chains may have ended early."),
    at_end_option,
    fixed_seed_option,
    start_option,
    tenants_option,
)
@arrival_options(option("--rate", type=float, default=10.0, help="Chains per second of virtual time."))
@option_group("Output", json_option)
def explain(
    *,
    scenario: Scenario | None,
    event_id: str,
    duration: float | None,
    at_end: AtEnd,
    seed: int,
    start: datetime,
    rate: float,
    arrivals: ArrivalOptions,
    tenants: Tenants | None,
    names: tuple[str, ...],
    paths: Paths,
    as_json: bool,
) -> None:
    """Show where an event of `eventbus generate` comes from: its chain, its step, and the chain as it was intended.

    The event's id contains its time, and that part of the run is generated again: give the arguments of the run.

    \b
    Example:
      eventbus explain 019b76da-ac3f-76e9-9d6b-e015eb91ec1c
    """
    from eventbus.chains import InvalidSetting

    generator = chosen_generator(
        paths,
        names,
        scenario,
        seed=seed,
        start=start,
        rate=rate,
        arrivals=arrivals.model(rate),
        tenants=tenants,
        at_end=at_end,
    )
    try:
        explanation = generator.explain(event_id, duration)
    except InvalidSetting as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(orjson.dumps(_document(explanation)))
    else:
        _print(explanation)


def _document(explanation: Explanation) -> dict[str, Any]:
    return {
        "index": explanation.index,
        "chain": explanation.chain,
        "step": explanation.step,
        "path": [
            {
                "state": step.state,
                "delay_ms": step.delay.total_seconds() * 1000,
                "cause": step.cause,
                "event": step.event.to_dict(),
            }
            for step in explanation.path
        ],
    }


def _print(explanation: Explanation) -> None:
    path = explanation.path
    click.echo(f"event {explanation.step + 1} of {len(path)} in chain {explanation.index}, {explanation.chain}")
    delays = [_delay(number, step) for number, step in enumerate(path)]
    delay_width, state_width = max(16, *map(len, delays)), max(16, *(len(step.state) for step in path))
    for number, (delay, (state, _, event, _)) in enumerate(zip(delays, path, strict=True)):
        mark = "→" if number == explanation.step else " "
        time = f"{event.timestamp:%Y-%m-%dT%H:%M:%S.%fZ}"
        click.echo(f"{mark} {time}  {delay:>{delay_width}}  {state:<{state_width}}  {event.event_type}")


def _delay(number: int, step: ExplainedStep) -> str:
    """`+50.000 ms` since the cause, which is named unless it is the event before."""
    if step.cause is None:
        return ""
    cause = "" if step.cause == number - 1 else f"after event {step.cause + 1}  "
    return f"{cause}+{step.delay.total_seconds() * 1000:,.3f} ms"
