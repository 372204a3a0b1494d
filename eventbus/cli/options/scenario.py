"""`--scenario` and `--set`: a scenario gives values for options that are not on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

from eventbus.cli.command import option
from eventbus.cli.options.common import chosen_catalog
from eventbus.cli.options.sinks import SinkSpec

if TYPE_CHECKING:
    from eventbus.catalog import Scenario
    from eventbus.chains import ChainGenerator

C = TypeVar("C", bound=Callable[..., Any])

ARRIVALS = ("rate", "interval", "profile", "users", "stages", "spacing")
"""Options that say when chains begin: any of them replaces the scenario's arrivals."""
EXTENTS = ("chains", "duration")
"""Options that say how long a run is: any of them replaces the scenario's duration."""
PROMISED = 1.75
"""Events per second of one user of older simulators."""
RUNNING = ("generate", "stream", "mock", "serve")
"""Commands that run a scenario; others only need to know what the run was."""
DEFAULTS = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)

scenario_option = option(
    "--scenario", "scenario_name", metavar="NAME|FILE",
    help="A shipped scenario (see `eventbus catalog scenarios`) or a YAML file; other options override it.",
)  # fmt: skip
set_option = option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE",
    help="Change the scenario, such as simulation.num_users=50 or phases[1].failed=4; repeatable.",
)  # fmt: skip


def with_scenario(command: C) -> C:
    """Turns `--scenario` and `--set` into the argument `scenario`, and lets it fill in options that are not given.

    This is the outermost decorator: it sees the options before groups gather them. An option that is given takes
    precedence, also over what `scenario` itself still says.
    """

    @wraps(command)
    def resolved(*, scenario_name: str | None, settings: tuple[str, ...], **options: Any) -> Any:
        if scenario_name is None:
            if settings:
                raise click.UsageError("--set changes a scenario: give --scenario as well")
            return command(scenario=None, **_resolved(options, None))
        from eventbus.catalog import Scenario

        scenario = Scenario.load(scenario_name, settings, catalog=chosen_catalog(options["paths"]))
        for note in scenario.notes:
            click.echo(f"note: {note}", err=True)
        if is_given(options, *ARRIVALS):
            scenario = replace(scenario, arrivals=None)
        if scenario.events_per_second is not None and scenario.arrivals is None and not is_given(options, "users"):
            click.echo("note: simulation.events_per_second has no effect without users", err=True)
            scenario = replace(scenario, events_per_second=None)
        return command(scenario=scenario, **_resolved(options, scenario))

    return cast("C", resolved)


def note_throughput(generator: ChainGenerator) -> None:
    """Says how many events per second to expect of the visitors of a closed workload, unless they are scaled to it."""
    from eventbus.catalog.model import ClosedWorkload

    sites = [chain.visitors for chain in generator.catalog.weighted if chain.visitors]
    is_human = bool(sites) and all(site.behaviour.human_like_delays for site in sites)
    if not isinstance(generator.arrivals, ClosedWorkload) or generator.events_per_second is not None or not is_human:
        return
    users, rate = generator.arrivals.users, generator.throughput()
    click.echo(
        f"note: {users:,} users make about {rate:.2g} events/s; simulation.events_per_second: "
        f"{round(users * PROMISED) or 1:,} would scale their times to that rate",
        err=True,
    )


def _resolved(options: dict[str, Any], scenario: Scenario | None) -> dict[str, Any]:
    """The options, with the scenario's values in place of those that are not given."""
    resolved = dict(options)
    for name, value in _scenario_values(scenario, options) if scenario else ():
        if name in options and not is_given(options, name):
            resolved[name] = value
    if "to" in options:
        resolved |= _sink_values(resolved, scenario)
    command = click.get_current_context().info_name
    if scenario and command in RUNNING and (unused := list(_without_effect(scenario, resolved))):
        has = "has" if len(unused) == 1 else "have"
        click.echo(f"note: {', '.join(unused)} {has} no effect on eventbus {command}", err=True)
    return resolved


def _scenario_values(scenario: Scenario, options: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values that a scenario has for options, by the option's name."""
    advanced = scenario.advanced
    if scenario.seed is not None:
        yield "seed", scenario.seed
    if scenario.duration is not None and not is_given(options, *EXTENTS):
        yield "duration", scenario.duration
    yield "at_end", scenario.at_end
    if scenario.faults:
        yield "faults", scenario.faults
    if advanced.verbose is not None:
        yield "verbose", advanced.verbose
    if advanced.human_like_delays is False:  # without delays, a stream is as fast as its sinks
        yield "when_full", "wait"
    if advanced.stats_interval:
        yield "stats_interval", advanced.stats_interval
    if advanced.retry_on_failure is False:
        yield "http_attempts", 1
    elif advanced.max_retries is not None:
        yield "http_attempts", advanced.max_retries + 1


def _without_effect(scenario: Scenario, options: dict[str, Any]) -> Iterator[str]:
    """What a scenario says that means nothing to a command with these options."""
    advanced = scenario.advanced
    sends_http = any(spec.kind == "http" for spec in options.get("to", ()))
    if scenario.api_url and not sends_http:
        yield "simulation.api_url"
    if advanced.save_to_file and "to" not in options:
        yield "advanced.save_to_file"
    if advanced.verbose is not None and "verbose" not in options:
        yield "advanced.verbose"
    if advanced.stats_interval and "stats_interval" not in options:
        yield "advanced.stats_interval"
    if advanced.retry_on_failure is not None and not sends_http:
        yield "advanced.retry_on_failure"
    if advanced.max_retries is not None and not sends_http:
        yield "advanced.max_retries"


def _sink_values(options: dict[str, Any], scenario: Scenario | None) -> dict[str, Any]:
    """The sinks of a stream: `--to http` is the scenario's URL, and the scenario may add a file."""
    url = scenario.api_url if scenario else None
    values: dict[str, Any] = {"to": options["to"]}
    if SinkSpec("http") in options["to"]:
        if url is None:
            raise click.UsageError("--to http: expected http:URL, or a scenario with simulation.api_url")
        values["to"] = tuple(SinkSpec("http", url) if spec == SinkSpec("http") else spec for spec in options["to"])
        if options.get("form") == "json" and not is_given(options, "http_body"):
            values["http_body"] = "analytics"
    if scenario and scenario.advanced.save_to_file:
        file = SinkSpec("jsonl", scenario.advanced.output_file)
        values["to"] = (*(values["to"] or (SinkSpec("kafka"),)), file)
    return values


def is_given(options: dict[str, Any], *names: str) -> bool:
    """Whether one of these options is on the command line or in the environment."""
    source = click.get_current_context().get_parameter_source
    return any(name in options and source(name) not in (None, *DEFAULTS) for name in names)
