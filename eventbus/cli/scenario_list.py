"""`eventbus catalog scenarios`: which situations there are, and the file of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from eventbus.cli.options import Paths, catalog_option, chosen_catalog, json_option

if TYPE_CHECKING:
    from eventbus.catalog import Scenario
    from eventbus.catalog.model import Arrivals


@click.command()
@click.argument("name", required=False, metavar="[NAME|FILE]")
@catalog_option
@json_option
def scenarios(name: str | None, paths: Paths, as_json: bool) -> None:
    """List the shipped scenarios; or check one, and print its file, to be copied and changed.

    \b
    Examples:
      eventbus catalog scenarios
      eventbus catalog scenarios spike > mine.yaml
    """
    import orjson

    from eventbus.catalog import Scenario
    from eventbus.catalog.scenario import file_of

    known = chosen_catalog(paths)
    chosen = [Scenario.load(one, catalog=known) for one in ([name] if name else Scenario.names())]
    if as_json:
        click.echo(orjson.dumps(list(map(_row, chosen)), option=orjson.OPT_INDENT_2))
    elif name:
        click.echo(file_of(name).read_text(), nl=False)
    else:
        from eventbus.cli.render import catalog as view

        view.print_all(view.scenario_table([_row(one) for one in chosen]))


def _row(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "arrivals": scenario.arrivals and _when(scenario.arrivals),
        "duration_seconds": scenario.duration,
        "description": scenario.description,
    }


def _when(arrivals: Arrivals) -> str:
    from eventbus.catalog.model import ClosedWorkload, ConstantRate, Profile

    if isinstance(arrivals, ClosedWorkload):
        return f"{arrivals.users:,} users"
    match arrivals.rate:
        case ConstantRate(rate=rate):
            return f"{rate:g}/s"
        case Profile(time_zone=zone):
            return f"by the hour ({zone})"
        case _:
            return "in stages"
