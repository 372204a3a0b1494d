"""`eventbus mock` and `eventbus serve`: the whole application in one process, without Kafka or on a real one."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any

import click

from eventbus.cli import types
from eventbus.cli.command import Command, option, option_group
from eventbus.cli.options.common import (
    STORE,
    catalog_option,
    chain_option,
    chosen_catalog,
    chosen_database,
    database_options,
    load_settings,
    plain_option,
    random_seed_option,
    speed_option,
)
from eventbus.cli.options.faults import fault_options
from eventbus.cli.options.kafka import CONNECTION, compression_option, security_options
from eventbus.cli.options.scenario import scenario_option, set_option, with_scenario

if TYPE_CHECKING:
    from eventbus.catalog import Scenario
    from eventbus.cli.application import Configuration
    from eventbus.kafka import Compression, KafkaSecurity
    from eventbus.settings import Settings

HTTP_AND_DISPLAY = "HTTP and display"


def application_options(command: Any) -> Any:
    """The options that both commands take."""
    for decorate in reversed(
        (
            with_scenario,
            option_group(
                "What to generate",
                option(
                    "--generate/--no-generate", default=None,
                    help="Generate events.  [default: yes, unless ENABLE_MOCK_EVENTS=false]",
                ),
                scenario_option,
                set_option,
                catalog_option,
                chain_option,
                random_seed_option,
            ),
            option_group(
                "When chains begin",
                option(
                    "--initial-chains", type=click.IntRange(min=0),
                    help="Chains that begin at once.  [default: 20; 0 with --rate or a scenario's arrivals]",
                ),
                option(
                    "--interval", type=types.Finite(1e-7, 1000), metavar="SECONDS",
                    help="Seconds between the beginnings of further chains.  [default: 5]",
                ),
                option(
                    "--rate", type=types.Finite(0.001, 10_000_000), metavar="RATE",
                    help="Further chains per second, at random times, instead of --interval.",
                ),
                speed_option,
            ),
            fault_options,
            option_group(STORE, *database_options),
            option_group(
                HTTP_AND_DISPLAY,
                option(
                    "--host",
                    help="Address of the HTTP server.  [env var: EVENTBUS_HOST; default: 127.0.0.1]",
                ),
                option(
                    "--port", type=click.IntRange(0, 65535),
                    help="Its port; 0 picks a free one.  [env var: EVENTBUS_PORT; default: 3000]",
                ),
                plain_option,
            ),
        )
    ):  # fmt: skip
        command = decorate(command)
    return command


@click.command(cls=Command)
@application_options
def mock(**options: Any) -> None:
    """Run everything in this process: bus, generator, processor, PostgreSQL and HTTP. No Kafka, no Docker.

    20 chains begin at once, then one every 5 seconds. Stored events survive restarts. Ctrl-C stops it.

    \b
    Examples:
      eventbus mock
      eventbus mock --rate 50 --chain agent-execution
      eventbus mock --scenario incident
      eventbus mock --fault duplicate=0.05 --fault poison=0.01 --ledger ledger.jsonl
      ENABLE_MOCK_EVENTS=false eventbus mock --port 3001
    """
    from eventbus.cli.application import run_mock

    asyncio.run(run_mock(configuration(load_settings(), options), plain=options["plain"]))


@click.command(cls=Command)
@application_options
@option_group(
    STORE,
    option(
        "--process/--no-process", default=None,
        help="Store events in this process, or leave that to `eventbus process`.  "
        "[env var: EVENTBUS_PROCESS; default: process]",
    ),
)  # fmt: skip
@option_group(
    CONNECTION,
    option(
        "--bootstrap-servers", metavar="HOST:PORT,…",
        help="Kafka brokers to connect to first.  [env var: KAFKA_BROKERS; default: 127.0.0.1:9092]",
    ),
    compression_option,
)  # fmt: skip
@security_options
def serve(
    *,
    bootstrap_servers: str | None,
    compression: Compression,
    process: bool | None,
    security: KafkaSecurity,
    **options: Any,
) -> None:
    """Run the same application on a real Kafka.

    If no broker can be reached, it runs the mock instead and says so; with APP_ENV=production it exits with 2.

    \b
    Example:
      KAFKA_BROKERS=localhost:9092 DATABASE_URL=postgresql://localhost/events eventbus serve
    """
    from eventbus.cli.application import run_serve
    from eventbus.settings import DEFAULT_BROKERS

    settings = load_settings()
    brokers = bootstrap_servers or settings.kafka_brokers
    production = settings.app_env == "production"
    if not brokers and production:
        raise click.UsageError("APP_ENV=production needs a broker: set KAFKA_BROKERS, or give --bootstrap-servers")
    chosen = configuration(settings, options, process=process)
    run = run_serve(
        chosen,
        brokers or DEFAULT_BROKERS,
        security,
        compression=compression,
        plain=options["plain"],
        production=production,
    )
    asyncio.run(run)


def configuration(settings: Settings, options: dict[str, Any], *, process: bool | None = None) -> Configuration:
    """What the options say, and the settings where an option is not given."""
    from eventbus.chains import ChainGenerator
    from eventbus.cli.application import Configuration

    if None not in (options["rate"], options["interval"]):
        raise click.UsageError("--rate and --interval contradict each other: expected one of them")
    scenario: Scenario | None = options["scenario"]
    catalog = chosen_catalog(options["paths"], options["names"], scenario)
    options["fault_options"].check(ChainGenerator(catalog))
    return Configuration(
        catalog=catalog,
        database=chosen_database(options["database_url"], options["data_dir"]),
        host=options["host"] or settings.host,
        port=settings.port if options["port"] is None else options["port"],
        generate=settings.enable_mock_events if options["generate"] is None else options["generate"],
        initial_chains=options["initial_chains"],
        arrivals=scenario.arrivals if scenario else None,
        phases=scenario.phases if scenario else (),
        duration=scenario.duration if scenario else None,
        at_end=scenario.at_end if scenario else "finish",
        events_per_second=scenario.events_per_second if scenario else None,
        interval=options["interval"],
        rate=options["rate"],
        speed=options["speed"],
        seed=secrets.randbits(32) if options["seed"] is None else options["seed"],
        fault_options=options["fault_options"],
        process=settings.process if process is None else process,
    )
