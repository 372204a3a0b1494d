"""Sends the dead letters of a file again: `eventbus stream --from-dead-letters`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from eventbus.chains.clock import WallClock
from eventbus.chains.errors import SinkUnusable
from eventbus.chains.sinks import BusSink, DeadLetters, Resend, Sending, all_types
from eventbus.cli.command import REDACTED
from eventbus.cli.options.kafka import CONNECTION
from eventbus.cli.options.monitoring import MonitorOptions
from eventbus.cli.options.sinks import SinkOptions, sink_spec
from eventbus.cli.render.account import SinkDelivery
from eventbus.cli.running import stop_on_signals, until_first
from eventbus.inprocess import InProcessBus

if TYPE_CHECKING:
    from eventbus.chains.rendering import FormatName
    from eventbus.chains.sinks import Sink
    from eventbus.kafka import KafkaBus

SECTIONS = ("Sinks", CONNECTION)
NAMES = {"form", "partitions", "compression", "stats_interval", "plain", "as_json"}
"""Options that go with `--from-dead-letters`: those of these sections, and these."""
WITHOUT_EFFECT = {"when_full", "include_caused"}
SHOWN_NAMES = 5


def refuse_generator_options(ctx: click.Context) -> None:
    """Raises click.UsageError: an option was given that is about generated events."""
    given = [
        parameter.opts[0]
        for parameter in ctx.command.params
        if parameter.name is not None
        and ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
        and (getattr(parameter, "section", "") not in SECTIONS or parameter.name in WITHOUT_EFFECT)
        and parameter.name not in NAMES
    ]
    if given:
        raise click.UsageError(
            f"--from-dead-letters sends events as they are, which {', '.join(given)} cannot change: give one of them"
        )


async def send_dead_letters(
    options: SinkOptions,
    connect: Callable[[], KafkaBus],
    monitoring: MonitorOptions,
    *,
    form: FormatName,
    as_json: bool,
) -> None:
    """Sends the letters and prints what became of them.

    What fails again is in the file of `--dead-letters`; without this option, in a new one of the same name.

    Args:
        connect: makes the bus of the sink `kafka`.

    Raises:
        SinkUnusable: the sink cannot be chosen, or is invalid.
        InvalidDeadLetters: there are no letters, or another program uses them.
        EventBusError: the sink cannot be opened.
        click.exceptions.Exit: some letters were not sent.
    """
    path = options.from_dead_letters
    assert path is not None
    if click.get_current_context().get_parameter_source("dead_letters") is not ParameterSource.COMMANDLINE:
        options = replace(options, dead_letters=path)
    stop, dead_letters = stop_on_signals(), DeadLetters(options.dead_letters)
    sending = Sending(path)
    try:
        sink = _sink(sending, options, connect, dead_letters, form=form, on_reader_gone=stop.set)
        if sending.is_continued:
            click.echo(f"continuing {sending.path}, which an earlier run did not finish", err=True)
        resend = Resend(sending, sink, dead_letters)
        lines = sink.name == "stdout"
        try:
            await until_first(resend.run(), stop.wait(), _print_lines(resend, monitoring))
        finally:
            if sending.is_claimed:
                text = _json(resend) if as_json else _text(resend, sending, options.dead_letters, path)
                click.echo(text, err=lines)
    finally:
        sending.close()
        dead_letters.close()
    if resend.statistics.again or resend.statistics.waiting:
        raise click.exceptions.Exit(1)


def _sink(
    sending: Sending,
    options: SinkOptions,
    connect: Callable[[], KafkaBus],
    dead_letters: DeadLetters,
    *,
    form: FormatName,
    on_reader_gone: Callable[[], None],
) -> Sink:
    """The sink of `--to`; without it, that of the letters."""
    if len(options.to) > 1:
        raise SinkUnusable("--from-dead-letters: expected one sink, since each letter is missing in one")
    if not options.to:
        names = sorted(sending.sinks)
        if len(names) == 1 and f"//{REDACTED}@" in names[0]:
            raise SinkUnusable(f"--from-dead-letters: give {names[0]} with --to, as letters do not keep the login")
        if len(names) != 1:
            listed = ", ".join(names[:SHOWN_NAMES]) or "no sink"
            raise SinkUnusable(f"--from-dead-letters: the letters are of {listed}; choose one with --to")
        try:
            options = replace(options, to=(sink_spec(names[0]),))
        except click.BadParameter as error:
            raise SinkUnusable(
                f"--from-dead-letters: choose a sink with --to, as the letters are of {names[0]}"
            ) from error

    def bus_sink(kind: str) -> Sink:
        if kind == "bus":
            return BusSink(InProcessBus())
        bus = connect()
        return BusSink(bus, name="kafka", prepare=lambda: bus.prepare(sending.topics))

    [spec] = options.to
    if spec.kind == "jsonl" and Path(spec.location).resolve() in sending.paths:
        raise SinkUnusable(f"--from-dead-letters: expected another file than that of the letters, got {spec.location}")
    [(sink, _)] = options.sinks(form, dead_letters, bus_sink, on_reader_gone, takes=all_types)
    return sink


async def _print_lines(resend: Resend, monitoring: MonitorOptions) -> None:
    clock = WallClock()
    while True:
        await clock.sleep(monitoring.stats_interval)
        done = resend.statistics.letters - resend.statistics.waiting
        figures = _delivery(resend).line()
        click.echo(f"{done:,} of {resend.statistics.letters:,} letters · {figures}", err=True)


def _delivery(resend: Resend) -> SinkDelivery:
    statistics = resend.sink_statistics()
    return SinkDelivery({resend.sink_name: statistics}, "wait")


def _json(resend: Resend) -> str:
    return json.dumps({**resend.statistics.to_dict(), "sinks": _delivery(resend).by_sink()})


def _text(resend: Resend, sending: Sending, dead_letters: Path, path: Path) -> str:
    statistics = resend.statistics
    counts = [
        ("sent", statistics.sent),
        ("omitted", statistics.omitted),
        (f"dead again, in {dead_letters}", statistics.again),
        (f"of other sinks, in {dead_letters}", statistics.others),
        (f"waiting, in {sending.path}", statistics.waiting),
    ]
    sum_of = " + ".join(f"{count:,} {word}" for word, count in counts if count or word == "sent")
    lines = [f"{statistics.letters:,} letters = {sum_of}", *_delivery(resend).sentences()]
    if statistics.waiting:
        lines.append(f"the same command continues with {sending.path}")
    elif sending.is_continued and path.exists():
        lines.append(f"{path} has further letters: the same command sends them")
    return "\n".join(lines)
