"""`eventbus stream`: paced chains into a real Kafka, and an account that adds up."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from eventbus.bus import EventBus, TopicStrategy, topic_namer
from eventbus.cli.arrivals import ArrivalOptions, arrival_options
from eventbus.cli.faults import Striking, striking_options
from eventbus.cli.formats import stream_format
from eventbus.cli.options import (
    Paths,
    bootstrap_option,
    catalog_option,
    chain_option,
    chosen_catalog,
    random_seed_option,
)
from eventbus.cli.registry import RegistryOptions, registry_options
from eventbus.cli.scenario import scenario_options
from eventbus.cli.security import security_options
from eventbus.cli.sinks import SinkOptions, sink_options
from eventbus.cli.tenants import tenants_option
from eventbus.cli.typed import Remembering
from eventbus.cli.types import Duration, Finite
from eventbus.cli.watching import Watch, WatchOptions, watch_options

if TYPE_CHECKING:
    from eventbus.catalog import Catalog, Scenario
    from eventbus.catalog.model import Tenants
    from eventbus.chains import ChainGenerator
    from eventbus.chains.rendering import Format, FormatName
    from eventbus.kafka import KafkaBus, KafkaSecurity

FLUSH_WITHIN = 1.5
"""Seconds that the end waits for acknowledgements: Ctrl-C ends the program within 3."""

UNPACED_CHAINS = 2000
"""Chains per second of virtual time when nothing is paced: how densely they overlap."""

SAMPLE = 500
"""Chains whose events are counted to know how many a chain has."""


class Rate(click.ParamType):
    """Events per second; `max` and 0 mean as fast as the broker takes them."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            rate = math.inf if value == "max" else float(value)
        except ValueError:
            rate = math.nan
        if not rate >= 0:
            self.fail(f"expected events per second, or max, got {value!r}", param, ctx)
        return rate or math.inf


class Speed(Finite):
    """A factor; `max` means without waiting."""

    name = "speed"

    def __init__(self) -> None:
        super().__init__(min=0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return math.inf if value in ("max", math.inf) else super().convert(value, param, ctx)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is streamed, and how fast."""

    rate: float
    """Events per second; infinite: unpaced."""
    arrivals: ArrivalOptions
    speed: float
    initial_chains: int
    duration: float | None
    max_lag: float | None
    topics: TopicStrategy
    seed: int
    striking: Striking
    has_arrivals: bool
    """Whether the generator knows when chains begin; the rate then only says whether anything is paced."""


@click.command(cls=Remembering)
@scenario_options
@bootstrap_option
@click.option("--rate", type=Rate(), default="100", show_default=True, help="Events per second, or max.")
@arrival_options
@click.option(
    "--speed",
    type=Speed(),
    default="1",
    show_default=True,
    help="How many times faster than the clock, delays and durations included; or max: without waiting.",
)
@click.option(
    "--initial-chains", type=click.IntRange(min=0), default=0, show_default=True, help="Chains that begin at once."
)
@click.option(
    "--duration", type=Duration(), help="Chains begin for so long (30s, 5m, 1h), then run to their end [no end]."
)
@click.option("--max-lag", type=Duration(), help="Drop chains that would begin later than this [never].")
@random_seed_option
@tenants_option
@chain_option
@catalog_option
@click.option(
    "--topics",
    type=click.Choice(["domain", "event_type", "single"]),
    default="domain",
    show_default=True,
    help="A topic for each domain, each event type, or one for all.",
)
@click.option("--partitions", type=click.IntRange(min=1), help="Of topics made here [default: as the catalog says].")
@click.option(
    "--compression", type=click.Choice(["none", "gzip", "snappy", "lz4", "zstd"]), default="zstd", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="The account as one JSON object.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "cloudevents", "cloudevents-binary", "avro", "protobuf"]),
    default="json",
    show_default=True,
    help="The JSON event; a CloudEvent in its JSON form, or one whose attributes are record headers (kafka, bus); "
    "or Avro or Protocol Buffers with a schema registry (kafka, bus).",
)
@registry_options
@striking_options
@watch_options
@sink_options
@security_options
def stream(
    *,
    scenario: Scenario | None,
    bootstrap_servers: str,
    tenants: Tenants | None,
    names: tuple[str, ...],
    paths: Paths,
    partitions: int | None,
    compression: Any,
    seed: int | None,
    as_json: bool,
    security: KafkaSecurity,
    sinks: SinkOptions,
    watching: WatchOptions,
    form: FormatName,
    registry: RegistryOptions,
    **options: Any,
) -> None:
    """Stream event chains into a real Kafka, or other sinks, at a chosen pace, and account for every event at the end.

    Ctrl-C waits for what is under way. Exit code 0: all acknowledged; 1: the broker or a sink cannot be reached,
    refuses, or did not take everything; 2: wrong usage.

    \b
    Examples:
      eventbus stream --bootstrap-servers localhost:9092 --rate 500 --duration 1m
      eventbus stream --scenario incident --to http:http://127.0.0.1:8000/api/event
      eventbus stream --rate max --duration 10s --topics single
      eventbus stream --stages 10-200/s:2m,200/s:10m --spacing gamma:3
      eventbus stream --users 50 --think 2s..15s --stagger 1m
      eventbus stream --to jsonl:events.jsonl.zst --to http://127.0.0.1:3000/api/event-bus/events
      eventbus stream --format cloudevents-binary --rate 100
      eventbus stream --format avro --schema-registry http://localhost:8081
      eventbus stream --fault late=0.02,max=10s --fault poison=0.001 --ledger ledger.jsonl --duration 1m
      eventbus stream --rate 200 --duration 10m --stats-interval 10s --report run.html
      eventbus stream --to bus --start 2026-01-01 --seed 7 --speed max --duration 1h
      EVENTBUS_SASL_PASSWORD=… eventbus stream --security-protocol SASL_SSL --sasl-username me
    """
    from eventbus.chains import ChainGenerator, InvalidSetting
    from eventbus.chains.errors import SinkUnusable
    from eventbus.cli.stream_sinks import run_into
    from eventbus.errors import InvalidSettings
    from eventbus.kafka import KafkaBus

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what matters comes as an error of ours
    catalog = chosen_catalog(paths, names, scenario)
    arrivals, phases = (scenario.arrivals, scenario.phases) if scenario else (None, ())
    plan = Plan(seed=secrets.randbits(32) if seed is None else seed, has_arrivals=arrivals is not None, **options)

    def kafka() -> KafkaBus:
        return KafkaBus(
            bootstrap_servers,
            topic_strategy=plan.topics,
            partitions=partitions or catalog.partitions,
            security=security,
            compression=compression,
            close_timeout=FLUSH_WITHIN,
        )

    generator = ChainGenerator(catalog, seed=plan.seed, arrivals=arrivals, phases=phases, tenants=tenants)
    watch = watched(watching, generator, plan)
    plan.striking.check(generator, form)
    try:
        sinks.check(form)
        format = stream_format(form, registry, generator.catalog, plan.topics)
        if sinks.to:
            into = run_into(sinks, kafka, generator, plan, watch=watch, form=form, format=format, as_json=as_json)
            asyncio.run(into)
        else:
            asyncio.run(run(kafka(), generator, plan, watch=watch, format=format, as_json=as_json))
    except (InvalidSetting, InvalidSettings, SinkUnusable) as error:
        raise click.UsageError(str(error)) from error


async def run(
    bus: KafkaBus, generator: ChainGenerator, plan: Plan, *, watch: Watch, format: Format, as_json: bool
) -> None:
    """Stream until the plan is done or the user wants no more, then print the account.

    Raises:
        EventBusError: the broker cannot be reached, refuses, or went away.
        click.exceptions.Exit: not everything was acknowledged.
    """
    from eventbus.cli.render.stream_view import Account, final, progress
    from eventbus.cli.signals import stop_on_signals

    def account() -> Account:
        return Account(run=generator.statistics(), delivery=bus.delivery_statistics(), seed=plan.seed)

    stop = stop_on_signals()
    connected = False
    try:
        async with bus:
            await bus.prepare(topics_of(generator.catalog, plan.topics))
            connected = True
            with progress(watch, account):
                await generate(bus, generator, plan, stop, format, watch=watch)
    finally:
        if connected:
            click.echo(final(watch, account(), as_json=as_json))
            watch.write_report(generator.statistics(), account().sinks())
    if bus.delivery_statistics().failed:
        raise click.exceptions.Exit(1)


def topics_of(catalog: Catalog, strategy: TopicStrategy) -> set[str]:
    """The topics that the chains of a catalog need; made beforehand, so that the first events are not late."""
    topic_of = topic_namer(strategy)
    return {topic_of(state.emits) for chain in catalog.active for state in chain.states.values()}


async def generate(
    bus: EventBus, generator: ChainGenerator, plan: Plan, stop: asyncio.Event, format: Format, *, watch: Watch
) -> None:
    """Run the generator until it is done, fails, or is told to stop."""
    paced = math.isfinite(plan.rate)
    rate = plan.rate / events_per_chain(generator) if paced else UNPACED_CHAINS
    model = plan.arrivals.model(rate)
    with plan.striking.arguments(bus, format) as struck:
        running = asyncio.ensure_future(
            generator.run(
                **struck,
                initial_chains=plan.initial_chains,
                rate=rate if model is None and not plan.has_arrivals else None,
                arrivals=model,
                speed=plan.speed if paced else math.inf,
                duration=plan.duration if paced else None,
                topic_strategy=plan.topics,
                max_lag=plan.max_lag,
                start=watch.options.start,
                observers=watch.observers,
            )
        )
        stopping = asyncio.ensure_future(stop.wait())
        timeout = None if paced else plan.duration
        await asyncio.wait([running, stopping], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def watched(options: WatchOptions, generator: ChainGenerator, plan: Plan) -> Watch:
    """One who knows what to expect of the plan."""
    from eventbus.cli.expectation import zone_of

    paced = math.isfinite(plan.rate)
    return Watch(
        options,
        generator,
        speed=plan.speed if paced else math.inf,
        duration=plan.duration if paced else None,
        is_paced=paced,
        zone=zone_of(generator.arrivals),
        events_per_chain=events_per_chain(generator),
    )


def events_per_chain(generator: ChainGenerator) -> float:
    """How many events a chain of this catalog has on average."""
    return sum(len(block) for block in generator.blocks(chains=SAMPLE)) / SAMPLE
