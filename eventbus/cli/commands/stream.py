"""`eventbus stream`: generated events into Kafka or other sinks, at a chosen pace."""

from __future__ import annotations

import logging
import math
import secrets
from typing import TYPE_CHECKING, Any

import click

from eventbus.cli import types
from eventbus.cli.command import Command, option, option_group
from eventbus.cli.options.arrivals import arrival_options
from eventbus.cli.options.common import (
    Paths,
    at_end_option,
    catalog_option,
    chain_option,
    chosen_catalog,
    random_seed_option,
    tenants_option,
)
from eventbus.cli.options.faults import fault_options
from eventbus.cli.options.kafka import (
    CONNECTION,
    RegistryOptions,
    bootstrap_option,
    compression_option,
    registry_options,
    security_options,
)
from eventbus.cli.options.monitoring import MonitorOptions, monitor_options
from eventbus.cli.options.scenario import note_throughput, scenario_option, set_option, with_scenario
from eventbus.cli.options.sinks import SinkOptions, sink_options

if TYPE_CHECKING:
    from eventbus.catalog import Scenario
    from eventbus.catalog.model import Tenants
    from eventbus.catalog.model.workload import AtEnd
    from eventbus.chains.rendering import FormatName
    from eventbus.kafka import Compression, KafkaBus, KafkaSecurity

CLOSE_TIMEOUT = 1.5
"""Seconds that closing Kafka waits for acknowledgements: Ctrl-C ends the program within 3."""


def rate(text: str) -> float:
    """Events per second; `max` and 0 mean as fast as the sinks accept them."""
    try:
        events = math.inf if text == "max" else float(text)
    except ValueError:
        events = math.nan
    if not events >= 0:
        raise click.BadParameter(f"expected events per second, or max, got {text!r}")
    return events or math.inf


class Speed(types.Finite):
    """A factor above 0, or `max`."""

    name = "speed"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return math.inf if value in ("max", math.inf) else super().convert(value, param, ctx)


@click.command(cls=Command)
@with_scenario
@option_group(
    "What to stream",
    scenario_option,
    set_option,
    catalog_option,
    chain_option,
    random_seed_option,
    option(
        "--start", type=types.instant, metavar="TIME",
        help="Virtual time at which the stream begins, in ISO 8601. With it and --seed, the events are the same "
        "whenever and however fast they are streamed.  [default: now]",
    ),
    tenants_option,
)  # fmt: skip
@arrival_options(
    option("--rate", type=rate, default="100", metavar="RATE", help="Events per second, on average; or max."),
    option(
        "--speed", type=Speed(), default="1",
        help="Virtual seconds per second: 10 makes arrivals, delays and durations ten times faster; max never waits.",
    ),
    option("--initial-chains", type=click.IntRange(min=0), default=0, help="Chains that begin at once."),
    option(
        "--duration", type=types.duration,
        help="Length of the run (30s, 5m, 1h).  [default: no end]",
    ),
    at_end_option,
    option(
        "--max-lag", type=types.duration,
        help="Drop a chain, and count it, if it would begin later than intended by more than this.  [default: never]",
    ),
)  # fmt: skip
@fault_options
@option_group(
    "Format and topics",
    option(
        "--format", "form", default="json",
        type=click.Choice(["json", "cloudevents", "cloudevents-binary", "avro", "protobuf"]),
        help="json: the event. cloudevents: a CloudEvent in structured mode. cloudevents-binary: a CloudEvent whose "
        "attributes are record headers (kafka, bus). avro, protobuf: with a schema registry (kafka, bus).",
    ),
    option(
        "--topics", type=click.Choice(["domain", "event_type", "single"]), default="domain",
        help="One topic for each domain of event types, for each event type, or for all.",
    ),
    option(
        "--partitions", type=click.IntRange(min=1),
        help="Partitions of topics that are created.  [default: as in the catalog]",
    ),
    compression_option,
)  # fmt: skip
@sink_options
@option_group(CONNECTION, bootstrap_option)
@security_options
@registry_options
@monitor_options
@option_group("Watching", option("--json", "as_json", is_flag=True, help="Print the account as one JSON object."))
def stream(
    *,
    scenario: Scenario | None,
    bootstrap_servers: str,
    tenants: Tenants | None,
    names: tuple[str, ...],
    paths: Paths,
    partitions: int | None,
    compression: Compression,
    seed: int | None,
    as_json: bool,
    security: KafkaSecurity,
    sinks: SinkOptions,
    monitoring: MonitorOptions,
    form: FormatName,
    registry: RegistryOptions,
    at_end: AtEnd,
    **options: Any,
) -> None:
    """Stream generated chains of events into Kafka, or into other sinks, at a chosen pace.

    At the end an account says what became of every event. Ctrl-C waits for events that are under way.

    Exit code 0: all events were delivered. 1: Kafka or a sink cannot be reached, refuses, or did not accept all
    events. 2: wrong usage.

    \b
    Examples:
      eventbus stream --bootstrap-servers localhost:9092 --rate 500 --duration 1m
      eventbus stream --scenario incident --to http:http://127.0.0.1:8000/api/event
      eventbus stream --rate max --duration 10s --topics single
      eventbus stream --stages 10-200/s:2m,200/s:10m --spacing gamma:3
      eventbus stream --users 50 --think 2s..15s --stagger 1m
      eventbus stream --to jsonl:events.jsonl.zst --to http://127.0.0.1:3000/api/event-bus/events
      eventbus stream --from-dead-letters dead-letters.jsonl
      eventbus stream --format cloudevents-binary --rate 100
      eventbus stream --format avro --schema-registry http://localhost:8081
      eventbus stream --fault late=0.02,max=10s --fault poison=0.001 --ledger ledger.jsonl --duration 1m
      eventbus stream --rate 200 --duration 10m --stats-interval 10s --report run.html
      eventbus stream --to bus --start 2026-01-01 --seed 7 --speed max --duration 1h
      EVENTBUS_SASL_PASSWORD=… eventbus stream --security-protocol SASL_SSL --sasl-username me
    """
    from eventbus.chains import ChainGenerator, InvalidSetting
    from eventbus.chains.errors import SinkUnusable
    from eventbus.chains.sinks import InvalidDeadLetters
    from eventbus.cli.resending import refuse_generator_options, send_dead_letters
    from eventbus.cli.running import run_abandoning_lookups
    from eventbus.cli.streaming import StreamMonitor, StreamPlan, stream_to_kafka, stream_to_sinks
    from eventbus.errors import InvalidSettings
    from eventbus.kafka import KafkaBus

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # its errors reach the user as ours
    catalog = chosen_catalog(paths, names, scenario)
    arrivals, phases = (scenario.arrivals, scenario.phases) if scenario else (None, ())
    seed = secrets.randbits(32) if seed is None else seed
    plan = StreamPlan(seed=seed, has_arrivals=arrivals is not None, **options)

    def connect() -> KafkaBus:
        return KafkaBus(
            bootstrap_servers,
            topic_strategy=plan.topics,
            partitions=partitions or catalog.partitions,
            security=security,
            compression=compression,
            close_timeout=CLOSE_TIMEOUT,
        )

    if sinks.from_dead_letters:
        refuse_generator_options(click.get_current_context())
        try:
            run_abandoning_lookups(send_dead_letters(sinks, connect, monitoring, form=form, as_json=as_json))
        except (InvalidDeadLetters, InvalidSettings, SinkUnusable) as error:
            raise click.UsageError(str(error)) from error
        return
    generator = ChainGenerator(
        catalog,
        seed=seed,
        arrivals=arrivals,
        phases=phases,
        tenants=tenants,
        at_end=at_end,
        events_per_second=scenario.events_per_second if scenario else None,
    )
    note_throughput(generator)
    monitor = StreamMonitor(monitoring, generator, plan)
    plan.fault_options.check(generator, form)
    try:
        sinks.check(form)
        format = registry.stream_format(form, generator.catalog, plan.topics)
        if sinks.to:
            run = stream_to_sinks(sinks, connect, monitor, form=form, format=format, as_json=as_json)
        else:
            run = stream_to_kafka(connect(), monitor, format=format, as_json=as_json)
        run_abandoning_lookups(run)
    except (InvalidSetting, InvalidSettings, SinkUnusable) as error:
        raise click.UsageError(str(error)) from error
