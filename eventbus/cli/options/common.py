"""Catalog, store, time and output: options that most commands take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventbus.cli import types
from eventbus.cli.command import option

if TYPE_CHECKING:
    from eventbus.catalog import Catalog, Scenario
    from eventbus.catalog.model import Tenants
    from eventbus.chains import ChainGenerator
    from eventbus.processors.postgres import Database
    from eventbus.settings import Settings

Paths = tuple[Path, ...]

STORE = "Store"
"""Section of the options that say where events are stored."""

catalog_option = option(
    "--catalog",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A YAML file or folder that extends the shipped catalog; repeatable.",
)
chain_option = option("--chain", "names", multiple=True, metavar="NAME", help="Only chains of this name; repeatable.")
json_option = option("--json", "as_json", is_flag=True, help="Print JSON.")
plain_option = option("--plain", is_flag=True, help="Print plain lines even on a terminal.")
random_seed_option = option(
    "--seed", type=int, help="Seed of the random numbers; the same seed repeats the same chains.  [default: random]"
)
fixed_seed_option = option("--seed", type=int, default=0, help="Seed of the random numbers: the same seed, same bytes.")
start_option = option(
    "--start",
    type=types.instant,
    metavar="TIME",
    default="2026-01-01T00:00:00Z",
    help="Virtual time at which the run begins, in ISO 8601; UTC unless it names a zone.",
)
at_end_option = option(
    "--at-end",
    type=click.Choice(["end", "finish", "cut"]),
    default="finish",
    show_default=False,
    help="Chains under way at the end of the duration. end: sessions close their page and end, others run to their "
    "end. finish: all run to their end. cut: all break off.  [default: finish; of scenarios about visitors, end]",
)
speed_option = option(
    "--speed",
    type=types.Finite(min=0, min_open=True),
    default=1.0,
    help="Virtual seconds per second: 10 makes arrivals, delays and durations ten times faster.",
)
data_dir_option = option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder in which the embedded PostgreSQL keeps its data.  [env var: EVENTBUS_DATA_DIR]",
)
database_url_option = option(
    "--database-url",
    metavar="URL",
    help="PostgreSQL 18 or newer to use instead of the embedded one.  [env var: DATABASE_URL]",
)
database_options = (database_url_option, data_dir_option)


def tenants(text: str) -> Tenants:
    """`50`, or `50:1.2` with the exponent of Zipf's law."""
    from eventbus.catalog.model import Tenants
    from eventbus.chains import InvalidSetting
    from eventbus.chains.rendering.fixed import Tenancy

    count, colon, exponent = text.partition(":")
    try:
        parsed = Tenants(count=int(count), exponent=float(exponent) if colon else 1.0)
        Tenancy(parsed)
    except InvalidSetting as error:
        raise click.BadParameter(str(error)) from error
    except ValueError:
        raise click.BadParameter(
            f"expected a number of tenants such as 50, or 50:1.2 with an exponent, got {text!r}"
        ) from None
    return parsed


tenants_option = option(
    "--tenants",
    type=tenants,
    metavar="N[:EXPONENT]",
    help="Spread the chains over N tenants, whose sizes follow Zipf's law with this exponent (1 if not given) and "
    "whose busy hours differ.  [default: one tenant]",
)


def chosen_catalog(paths: Paths, names: tuple[str, ...] = (), scenario: Scenario | None = None) -> Catalog:
    """The catalog of `--catalog` and `--scenario`, reduced to the chains of `--chain`."""
    from eventbus.catalog import Catalog

    extended = Catalog.load(*paths) if paths and not scenario else Catalog.default()
    catalog = scenario.catalog if scenario else extended
    return catalog.only(*names) if names else catalog


def chosen_generator(
    paths: Paths, names: tuple[str, ...], scenario: Scenario | None = None, **settings: Any
) -> ChainGenerator:
    """The generator of a virtual run; `settings` are arguments of `ChainGenerator` and override the scenario's.

    Raises:
        click.UsageError: a setting is invalid.
    """
    from eventbus.chains import ChainGenerator, InvalidSetting

    catalog = chosen_catalog(paths, names, scenario)
    if scenario:
        settings.setdefault("at_end", scenario.at_end)
        settings["events_per_second"] = scenario.events_per_second
        settings |= {"arrivals": settings["arrivals"] or scenario.arrivals, "phases": scenario.phases}
    if settings.get("arrivals"):
        settings["rate"] = None  # the arrivals have it, where it means anything
    try:
        return ChainGenerator(catalog, **settings)
    except InvalidSetting as error:
        raise click.UsageError(str(error)) from error


def partitions_by_topic(catalog: Catalog) -> dict[str, int]:
    """The number of partitions of each topic: one topic for each domain of the catalog, one for all other events."""
    from eventbus.broker.broker import DEFAULT_PARTITIONS
    from eventbus.bus import SINGLE_TOPIC

    return {SINGLE_TOPIC: DEFAULT_PARTITIONS, **catalog.partitions}


def chosen_database(database_url: str | None, data_dir: Path | None, *, create: bool = True) -> Database:
    """The store of `--database-url` and `--data-dir`; without them, that of the environment and `.env`.

    Args:
        create: whether to create the embedded server's data folder if it does not exist.
    """
    from eventbus.processors.postgres import database

    settings = load_settings()
    data_dir = data_dir or (None if database_url else settings.data_dir)
    url = database_url or (None if data_dir else settings.database_url)
    return database(data_dir, database_url=url, create=create)


def load_settings() -> Settings:
    """The settings of the environment and `.env`.

    Raises:
        click.UsageError: a variable has an invalid value.
    """
    from pydantic import ValidationError

    from eventbus.settings import Settings, settings_problems

    try:
        return Settings()
    except ValidationError as error:
        raise click.UsageError(f"the environment has mistakes:\n{settings_problems(error)}") from error
