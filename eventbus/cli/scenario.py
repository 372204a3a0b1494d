"""`--scenario` and `--set`: a situation by name or file, for whatever the command line does not say itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from eventbus.catalog import Scenario

C = TypeVar("C", bound=Callable[..., Any])

ARRIVALS = ("rate", "interval", "profile", "users", "stages", "spacing")
"""Options that say when chains begin."""
EXTENTS = ("chains", "duration", "index")
"""Options that say how long a run is."""
UNSAID = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)


def scenario_options(command: C) -> C:
    """Gives a command the options, and their scenario, or None, as `scenario`.

    What the scenario says stands in for options of the command that are not given; what is given, it no longer says.
    """

    @wraps(command)
    def with_scenario(*, scenario_name: str | None, settings: tuple[str, ...], **options: Any) -> Any:
        if scenario_name is None:
            if settings:
                raise click.UsageError("--set changes a scenario: give --scenario as well")
            return command(scenario=None, **_resolved(options, None))
        from eventbus.catalog import Scenario
        from eventbus.cli.options import chosen_catalog

        scenario = Scenario.load(scenario_name, settings, catalog=chosen_catalog(options["paths"]))
        for note in scenario.notes:
            click.echo(f"note: {note}", err=True)
        if _given(options, *ARRIVALS):
            scenario = replace(scenario, arrivals=None)
        return command(scenario=scenario, **_resolved(options, scenario))

    decorated: Any = with_scenario
    for option in (
        click.option(
            "--set", "settings", multiple=True, metavar="PATH=VALUE",
            help="Change the scenario, such as simulation.num_users=50 or phases[1].failed=4; repeatable.",
        ),
        click.option(
            "--scenario", "scenario_name", metavar="NAME|FILE",
            help="A shipped scenario (see `eventbus catalog scenarios`) or a file; other options win over it.",
        ),
    ):  # fmt: skip
        decorated = option(decorated)
    return cast("C", decorated)


def _resolved(options: dict[str, Any], scenario: Scenario | None) -> dict[str, Any]:
    """The options, and what the scenario says in place of those that are not given."""
    resolved = dict(options)
    for name, value in _said(scenario, options) if scenario else ():
        if name in options and not _given(options, name):
            resolved[name] = value
    if "to" in options:
        resolved |= _sinks(resolved, scenario)
    return resolved


def _said(scenario: Scenario, options: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Values for options of these names."""
    advanced = scenario.advanced
    if scenario.seed is not None:
        yield "seed", scenario.seed
    if scenario.duration is not None and not _given(options, *EXTENTS):
        yield "duration", scenario.duration
    if scenario.faults:
        yield "faults", scenario.faults
    if advanced.verbose is not None:
        yield "verbose", advanced.verbose
    if advanced.human_like_delays is False:  # as fast as possible means: as fast as it is taken
        yield "when_full", "wait"
    if advanced.stats_interval:
        yield "stats_interval", advanced.stats_interval
    if advanced.retry_on_failure is False:
        yield "http_attempts", 1
    elif advanced.max_retries is not None:
        yield "http_attempts", advanced.max_retries + 1


def _sinks(options: dict[str, Any], scenario: Scenario | None) -> dict[str, Any]:
    """Where a stream goes: `--to http` is the scenario's address, and a file may come on top."""
    from eventbus.cli.sinks import Target

    url = scenario.api_url if scenario else None
    found: dict[str, Any] = {"to": options["to"]}
    if Target("http") in options["to"]:
        if url is None:
            raise click.UsageError("--to http: expected http:URL, or a scenario with simulation.api_url")
        found["to"] = tuple(Target("http", url) if target == Target("http") else target for target in options["to"])
        if options.get("form") == "json" and not _given(options, "http_body"):
            found["http_body"] = "analytics"
    if scenario and scenario.advanced.save_to_file:
        file = Target("jsonl", scenario.advanced.output_file)
        found["to"] = (*(found["to"] or (Target("kafka"),)), file)
    return found


def _given(options: dict[str, Any], *names: str) -> bool:
    """Whether one of these options is on the command line, or in the environment."""
    source = click.get_current_context().get_parameter_source
    return any(name in options and source(name) not in (None, *UNSAID) for name in names)
