"""`eventbus mock` and `eventbus serve`: the whole application in one process, without Kafka and with it."""

from __future__ import annotations

import asyncio
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from eventbus.bus import EventBus
    from eventbus.cli.application import Application, Configuration
    from eventbus.cli.settings import Settings

WRONG_USAGE = 2


def application_options(command: Any) -> Any:
    """The options that both commands take."""
    for option in reversed(
        (
            click.option("--host", help="Address of the HTTP server [default: 127.0.0.1; env EVENTBUS_HOST]."),
            click.option("--port", type=click.IntRange(0, 65535), help="Its port [default: 3000; env EVENTBUS_PORT]."),
            click.option(
                "--generate/--no-generate",
                default=None,
                help="Emit events [default: yes, unless ENABLE_MOCK_EVENTS=false].",
            ),
            click.option("--initial-chains", type=click.IntRange(min=0), default=20, show_default=True),
            click.option(
                "--interval", type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True,
                help="Seconds between further chains.",
            ),
            click.option(
                "--rate", type=click.FloatRange(min=0, min_open=True),
                help="Further chains per second, at random, instead of --interval.",
            ),
            click.option(
                "--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True,
                help="How many times faster than the clock.",
            ),
            click.option("--seed", type=int, help="Repeats the same chains [default: another one each time]."),
            click.option("--chain", "chains", multiple=True, metavar="NAME", help="Only this chain; repeatable."),
            click.option(
                "--catalog", "catalogs", multiple=True, type=click.Path(path_type=Path), metavar="PATH",
                help="A YAML file or folder on top of the shipped catalog; repeatable.",
            ),
            click.option("--database-url", help="A PostgreSQL 18+ instead of the embedded one [env DATABASE_URL]."),
            click.option(
                "--data-dir", type=click.Path(file_okay=False, path_type=Path),
                help="Where the embedded PostgreSQL keeps its data [env EVENTBUS_DATA_DIR].",
            ),
            click.option("--plain", is_flag=True, help="Plain lines, also on a terminal."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@application_options
def mock(**options: Any) -> None:
    """Run everything in this process: bus, generator, Faust agents, PostgreSQL, HTTP. No Kafka, no Docker.

    20 chains begin at once, then one every 5 seconds; what is stored survives restarts.

    \b
    Examples:
      eventbus mock
      eventbus mock --rate 50 --chain agent-execution
      ENABLE_MOCK_EVENTS=false eventbus mock --port 3001
    """
    settings = load_settings()
    asyncio.run(run_mock(configuration(settings, options), plain=options["plain"]))


@click.command()
@click.option("--bootstrap-servers", metavar="HOST:PORT", help="Kafka brokers [env KAFKA_BROKERS].")
@click.option(
    "--process/--no-process",
    default=None,
    help="Store events here too, or leave that to `eventbus process` [default: here; env EVENTBUS_PROCESS].",
)
@application_options
def serve(bootstrap_servers: str | None, process: bool | None, **options: Any) -> None:
    """Run the same application against a real Kafka.

    In development, without a reachable broker, it falls back to the mock and says so. With APP_ENV=production it
    exits with 2 instead.

    \b
    Example:
      KAFKA_BROKERS=localhost:9092 DATABASE_URL=postgresql://localhost/events eventbus serve
    """
    settings = load_settings()
    brokers = bootstrap_servers or settings.kafka_brokers
    production = settings.app_env == "production"
    if not brokers and production:
        raise click.UsageError("APP_ENV=production needs a broker: set KAFKA_BROKERS, or give --bootstrap-servers")
    wanted = configuration(settings, options, process=process)
    asyncio.run(run_serve(wanted, brokers or "127.0.0.1:9092", plain=options["plain"], production=production))


def load_settings() -> Settings:
    """The environment's settings; mistakes in them are wrong usage."""
    from pydantic import ValidationError

    from eventbus.cli.settings import Settings, settings_problems

    try:
        return Settings()
    except ValidationError as error:
        raise click.UsageError(f"the environment has mistakes:\n{settings_problems(error)}") from error


def configuration(settings: Settings, options: dict[str, Any], *, process: bool | None = None) -> Configuration:
    """Options win over settings."""
    from catalog import Catalog
    from eventbus.cli.application import Configuration

    catalog = Catalog.load(*options["catalogs"]) if options["catalogs"] else Catalog.default()
    data_dir = options["data_dir"] or settings.data_dir
    return Configuration(
        catalog=catalog.only(*options["chains"]) if options["chains"] else catalog,
        host=options["host"] or settings.host,
        port=settings.port if options["port"] is None else options["port"],
        generate=settings.enable_mock_events if options["generate"] is None else options["generate"],
        initial_chains=options["initial_chains"],
        interval=options["interval"],
        rate=options["rate"],
        speed=options["speed"],
        seed=secrets.randbits(32) if options["seed"] is None else options["seed"],
        process=settings.process if process is None else process,
        database_url=options["database_url"] or (None if data_dir else settings.database_url),
        data_dir=data_dir,
    )


async def run_mock(wanted: Configuration, *, plain: bool, notes: tuple[str, ...] = ()) -> None:
    from eventbus.inprocess import InProcessBus

    async with InProcessBus(partitions=wanted.catalog.partitions) as bus:
        await run_application(wanted, bus, None, ["in-process bus: no Kafka needed", *notes], plain=plain)


async def run_serve(wanted: Configuration, brokers: str, *, plain: bool, production: bool) -> None:
    from eventbus.cli import Failure
    from eventbus.errors import BrokerUnreachable
    from eventbus.kafka import KafkaBus

    bus = KafkaBus(brokers, partitions=wanted.catalog.partitions)
    try:
        await bus.__aenter__()
    except BrokerUnreachable as error:
        if production:
            raise Failure(str(error), exit_code=WRONG_USAGE) from error
        note = f"{error}; running the mock instead (APP_ENV=production would exit)"
        await run_mock(wanted, plain=plain, notes=(note,))
        return
    async with bus:
        await run_application(wanted, bus, brokers, [f"Kafka at {brokers}"], plain=plain)


async def run_application(
    wanted: Configuration, bus: EventBus, brokers: str | None, notes: list[str], *, plain: bool
) -> None:
    """Start the application, show it until it is told to stop, and print its account."""
    from rich.console import Console

    from eventbus.cli.application import Application
    from eventbus.cli.panel import display
    from eventbus.cli.signals import stop_on_signals

    console = Console(highlight=False)
    stop = stop_on_signals()
    application = Application(wanted, bus, brokers)
    async with application:
        with display(console, *heading(application, notes), live=console.is_terminal and not plain) as shown:
            await application.run(shown, stop)
    console.print(application.account(), soft_wrap=True)


def heading(application: Application, notes: list[str]) -> tuple[str, list[str]]:
    """The title and what a newcomer needs next."""
    wanted, url = application.configuration, application.http.url
    generator = f"seed {wanted.seed}" if wanted.generate else "generator off (ENABLE_MOCK_EVENTS=false)"
    command = "eventbus" if sys.argv[0].endswith("eventbus") else "python -m eventbus"
    where = f" --data-dir {wanted.data_dir}" if wanted.data_dir else ""
    return (
        f"eventbus · {url}",
        [
            *notes,
            f"PostgreSQL: {application.dsn}",
            generator,
            f"try: {command} events --limit 5{where}",
            f"     curl '{url}/api/event-bus/events?limit=5'",
            f"     {url}/docs",
            "Ctrl-C stops",
        ],
    )
