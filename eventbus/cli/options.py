"""Options that several commands share, and what their values stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from eventbus.cli.types import Finite

if TYPE_CHECKING:
    from eventbus.catalog import Catalog, Scenario
    from eventbus.processors.postgres import Database
    from eventbus.settings import Settings

C = TypeVar("C", bound=Callable[..., Any])

Paths = tuple[Path, ...]

catalog_option = click.option(
    "--catalog",
    "paths",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A YAML file or folder on top of the shipped catalog; repeatable.",
)
chain_option = click.option("--chain", "names", multiple=True, metavar="NAME", help="Only this chain; repeatable.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a machine.")
plain_option = click.option("--plain", is_flag=True, help="Plain lines, also on a terminal.")
random_seed_option = click.option("--seed", type=int, help="Repeats the same chains [default: another one each time].")
speed_option = click.option(
    "--speed",
    type=Finite(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="How many times faster than the clock, delays and durations included.",
)
bootstrap_option = click.option(
    "--bootstrap-servers",
    envvar="KAFKA_BROKERS",
    default="127.0.0.1:9092",
    show_default=True,
    metavar="HOST:PORT,…",
    help="Kafka brokers [env KAFKA_BROKERS].",
)


def database_options(command: C) -> C:
    """Where the store is: `database_url` and `data_dir`."""
    command = click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where the embedded PostgreSQL keeps its data [env EVENTBUS_DATA_DIR].",
    )(command)
    return click.option("--database-url", help="A PostgreSQL 18+ instead of the embedded one [env DATABASE_URL].")(
        command
    )


def chosen_catalog(paths: Paths, names: tuple[str, ...] = (), scenario: Scenario | None = None) -> Catalog:
    """The catalog of `--catalog`, `--scenario` and `--chain`."""
    from eventbus.catalog import Catalog

    known = Catalog.load(*paths) if paths and not scenario else Catalog.default()
    catalog = scenario.catalog if scenario else known
    return catalog.only(*names) if names else catalog


def topics_of(catalog: Catalog) -> dict[str, int]:
    """The topics of a catalog's domains, and the one for all other events, with their partitions."""
    from eventbus.broker.broker import DEFAULT_PARTITIONS
    from eventbus.bus import SINGLE_TOPIC

    return {SINGLE_TOPIC: DEFAULT_PARTITIONS, **catalog.partitions}


def chosen_database(database_url: str | None, data_dir: Path | None, *, create: bool = True) -> Database:
    """The store of `--database-url` and `--data-dir`; without them, that of the environment and `.env`."""
    from eventbus.processors.postgres import database

    settings = load_settings()
    data_dir = data_dir or (None if database_url else settings.data_dir)
    url = database_url or (None if data_dir else settings.database_url)
    return database(data_dir, database_url=url, create=create)


def load_settings() -> Settings:
    """The environment's settings; mistakes in them are wrong usage."""
    from pydantic import ValidationError

    from eventbus.settings import Settings, settings_problems

    try:
        return Settings()
    except ValidationError as error:
        raise click.UsageError(f"the environment has mistakes:\n{settings_problems(error)}") from error
