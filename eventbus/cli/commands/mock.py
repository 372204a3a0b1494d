"""`eventbus mock` and `eventbus serve`: the whole application in one process, without Kafka and with it."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import click

from eventbus.cli.faults import striking_options
from eventbus.cli.options import (
    catalog_option,
    chain_option,
    chosen_catalog,
    chosen_database,
    database_options,
    load_settings,
    plain_option,
    random_seed_option,
    speed_option,
    topics_of,
)
from eventbus.cli.scenario import scenario_options
from eventbus.cli.security import faust_credentials, security_options
from eventbus.cli.types import Finite

if TYPE_CHECKING:
    from eventbus.catalog import Scenario
    from eventbus.cli.application import Application, Configuration
    from eventbus.kafka import KafkaSecurity
    from eventbus.processors.postgres import Database
    from eventbus.settings import Settings

RETENTION_BYTES = 4 << 20
"""Of each partition, some forty of them: what is older is in PostgreSQL."""


def application_options(command: Any) -> Any:
    """The options that both commands take."""
    for option in reversed(
        (
            scenario_options,
            click.option("--host", help="Address of the HTTP server [default: 127.0.0.1; env EVENTBUS_HOST]."),
            click.option("--port", type=click.IntRange(0, 65535), help="Its port [default: 3000; env EVENTBUS_PORT]."),
            click.option(
                "--generate/--no-generate",
                default=None,
                help="Emit events [default: yes, unless ENABLE_MOCK_EVENTS=false].",
            ),
            click.option(
                "--initial-chains", type=click.IntRange(min=0),
                help="Chains that begin at once [default: 20, or as the scenario says].",
            ),
            click.option(
                "--interval", type=Finite(1e-7, 1000), default=5.0, show_default=True,
                help="Seconds between further chains.",
            ),
            click.option(
                "--rate", type=Finite(0.001, 10_000_000),
                help="Further chains per second, at random, instead of --interval.",
            ),
            speed_option,
            random_seed_option,
            striking_options,
            chain_option,
            catalog_option,
            database_options,
            plain_option,
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
      eventbus mock --scenario incident
      eventbus mock --fault duplicate=0.05 --fault poison=0.01 --ledger ledger.jsonl
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
@security_options
def serve(*, bootstrap_servers: str | None, process: bool | None, security: KafkaSecurity, **options: Any) -> None:
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
    brokers = brokers or "127.0.0.1:9092"
    asyncio.run(run_serve(wanted, brokers, security, plain=options["plain"], production=production))


def configuration(settings: Settings, options: dict[str, Any], *, process: bool | None = None) -> Configuration:
    """Options win over settings."""
    from eventbus.chains import ChainGenerator
    from eventbus.cli.application import Configuration

    scenario: Scenario | None = options["scenario"]
    catalog = chosen_catalog(options["paths"], options["names"], scenario)
    options["striking"].check(ChainGenerator(catalog))
    return Configuration(
        catalog=catalog,
        database=chosen_database(options["database_url"], options["data_dir"]),
        host=options["host"] or settings.host,
        port=settings.port if options["port"] is None else options["port"],
        generate=settings.enable_mock_events if options["generate"] is None else options["generate"],
        initial_chains=options["initial_chains"],
        arrivals=scenario.arrivals if scenario else None,
        phases=scenario.phases if scenario else (),
        interval=options["interval"],
        rate=options["rate"],
        speed=options["speed"],
        seed=secrets.randbits(32) if options["seed"] is None else options["seed"],
        striking=options["striking"],
        process=settings.process if process is None else process,
    )


async def run_mock(wanted: Configuration, *, plain: bool, notes: tuple[str, ...] = ()) -> None:
    """The application over an in-process bus."""
    from eventbus.cli.application import Application
    from eventbus.inprocess import InProcessBus

    async with InProcessBus(partitions=topics_of(wanted.catalog), retention_bytes=RETENTION_BYTES) as bus:
        await show(Application(wanted, bus, {"bus": bus}), ["in-process bus, no Kafka needed", *notes], plain=plain)


async def run_serve(
    wanted: Configuration, brokers: str, security: KafkaSecurity, *, plain: bool, production: bool
) -> None:
    """The application over a Kafka; in development over an in-process bus, should there be no Kafka."""
    from eventbus.cli.application import Application
    from eventbus.cli.errors import WRONG_USAGE, Failure
    from eventbus.errors import BrokerUnreachable
    from eventbus.kafka import KafkaBus

    bus = KafkaBus(brokers, partitions=topics_of(wanted.catalog), security=security)
    try:
        await bus.__aenter__()
    except BrokerUnreachable as error:
        if production:
            raise Failure(str(error), exit_code=WRONG_USAGE) from error
        note = f"{error}; running the mock instead (APP_ENV=production would exit)"
        await run_mock(wanted, plain=plain, notes=(note,))
        return
    async with bus:
        source = {"bootstrap_servers": brokers, "broker_credentials": faust_credentials(security)}
        await show(Application(wanted, bus, source), [f"Kafka at {brokers}"], plain=plain)


async def show(application: Application, notes: list[str], *, plain: bool) -> None:
    """Start the application, show it until it is told to stop, and print its account."""
    from eventbus.cli.render.dashboard import display
    from eventbus.cli.render.terminal import new_console
    from eventbus.cli.signals import stop_on_signals

    console = new_console()
    stop = stop_on_signals()
    async with application:
        with display(console, *heading(application, notes), live=console.is_terminal and not plain) as shown:
            await application.run(shown, stop)
    console.print(application.account(), soft_wrap=True)


def heading(application: Application, notes: list[str]) -> tuple[str, list[str]]:
    """The title, and what a newcomer needs next."""
    wanted, url = application.configuration, application.http.url
    generator = f"seed {wanted.seed}" if wanted.generate else "generator off"
    return (
        f"eventbus · {url}",
        [
            *notes,
            f"PostgreSQL {wanted.database.address} · {generator} · Ctrl-C stops",
            f"try  eventbus events --limit 5{database_flag(wanted.database)}",
            f"     curl '{url}/api/event-bus/events?limit=5'",
            f"     {url}/docs",
        ],
    )


def database_flag(database: Database) -> str:
    """What another command needs to find the same store."""
    from eventbus.processors.postgres import EmbeddedServer
    from eventbus.processors.postgres.server import default_data_dir

    if not isinstance(database, EmbeddedServer):
        return " --database-url …"
    return "" if database.data_dir == default_data_dir() else f" --data-dir {database.data_dir}"
