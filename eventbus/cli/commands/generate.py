"""`eventbus generate`: events to a file or stdout, as fast as they come."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from eventbus.cli.arrivals import ArrivalOptions, arrival_options
from eventbus.cli.errors import INTERRUPTED
from eventbus.cli.faults import fault_option, ledger_option
from eventbus.cli.options import Paths, catalog_option, chain_option, chosen_catalog
from eventbus.cli.part import DEFAULT_CHAINS, chosen_window, part_options
from eventbus.cli.reporting import Reporting, reporting_options
from eventbus.cli.scenario import scenario_options
from eventbus.cli.signals import interrupted_by_sigterm
from eventbus.cli.tenants import tenants_option
from eventbus.cli.typed import Remembering
from eventbus.cli.types import Duration, Instant

if TYPE_CHECKING:
    from eventbus.catalog import Scenario
    from eventbus.catalog.model import Tenants
    from eventbus.chains import Block, ChainGenerator
    from eventbus.chains.faults import Fault
    from eventbus.chains.faults.splice import FaultyBlock
    from eventbus.chains.output import EventWriter
    from eventbus.chains.rendering import Format
    from eventbus.chains.window import Window

    Advance = Callable[[Block | FaultyBlock], None]


@click.command(cls=Remembering)
@scenario_options
@click.option("--chains", type=click.IntRange(min=0), help=f"How many chains [default: {DEFAULT_CHAINS}].")
@click.option("--duration", type=Duration(), help="Virtual time in which chains begin: 30s, 5m, 1h, 2d.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option("--start", type=Instant(), default="2026-01-01T00:00:00Z", show_default=True, help="When time begins.")
@click.option("--rate", type=float, default=10.0, show_default=True, help="Chains per second of virtual time.")
@arrival_options
@tenants_option
@chain_option
@catalog_option
@part_options
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write [default: stdout].")
@click.option("--resume", is_flag=True, help="Keep an unfinished FILE as FILE.part, and go on with the one there is.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "cloudevents", "avro", "protobuf"]),
    default="json",
    show_default=True,
    help="The JSON event; a CloudEvent in its JSON form (structured); an Avro object container file; or Protocol "
    "Buffers, each message with its size before it.",
)
@fault_option
@ledger_option
@reporting_options
@click.option("--progress/--no-progress", default=None, help="Show progress on stderr [default: on a terminal].")
def generate(
    *,
    scenario: Scenario | None,
    chains: int | None,
    duration: float | None,
    seed: int,
    start: datetime,
    rate: float,
    arrivals: ArrivalOptions,
    tenants: Tenants | None,
    names: tuple[str, ...],
    paths: Paths,
    workers: int,
    since: datetime | None,
    until: datetime | None,
    index: int | None,
    out: Path | None,
    resume: bool,
    form: str,
    faults: tuple[Fault, ...],
    ledger: Path | None,
    reporting: Reporting,
    progress: bool | None,
) -> None:
    """Write events, ordered by time, without waiting: as JSON lines, or in another format.

    The seed alone repeats a run: the same arguments give the same bytes on every machine, and the SHA-256 at the end
    proves it. A file appears under its name when it is complete; until then it has a temporary name beside it.

    \b
    Examples:
      eventbus generate --chains 3
      eventbus generate --scenario incident --out events.jsonl
      eventbus generate --duration 1h --seed 7 --out events.jsonl
      eventbus generate --duration 30d --workers 2 --out events.jsonl --resume
      eventbus generate --chains 1000 --chain agent-execution | head
      eventbus generate --from 2026-03-01T12:00 --until 2026-03-01T13:00 --workers 4
      eventbus generate --profile visitors --time-zone Europe/Berlin --duration 7d --spacing even
      eventbus generate --duration 2d --out events.jsonl --summary --report run.html
      eventbus generate --format avro --out events.avro
      eventbus generate --fault late=0.02 --fault duplicate=0.01 --ledger ledger.jsonl --out events.jsonl
    """
    from eventbus.chains.output import BINARY_FORMATS, EventWriter, file_format

    model = arrivals.model(rate) or (scenario.arrivals if scenario else None)
    if model and all(bound is None for bound in (chains, duration, until, index)):
        duration = model.duration
        if scenario and duration is None:
            click.echo(f"note: the scenario has no end; these are {DEFAULT_CHAINS} chains of it", err=True)
    window = chosen_window(chains, duration, since=since, until=until, index=index, workers=workers)
    if (faults or ledger) and not window.is_whole:
        raise click.UsageError("--fault and --ledger need the whole run: no --from, --until or --index")
    if resume and (out is None or index is not None or faults or ledger or form != "json"):
        raise click.UsageError(
            "--resume needs --out, and goes with neither --index nor --fault nor --ledger nor --format"
        )
    if resume and reporting.is_wanted:
        raise click.UsageError("--summary and --report need the whole run: no --resume")
    generator = chosen_generator(
        paths, names, scenario, seed=seed, start=start, rate=rate, arrivals=model, tenants=tenants
    )
    if progress is None:
        progress = sys.stderr.isatty() and (out is not None or not sys.stdout.isatty())
    with_faults = bool(faults or ledger)
    if form in BINARY_FORMATS and with_faults:
        raise click.UsageError(f"--fault and --ledger are about JSON: --format json or cloudevents, not {form}")
    written = file_format(form, generator.catalog, with_faults=with_faults)
    writer = EventWriter(written)
    try:
        with (
            interrupted_by_sigterm(),
            _resumable(out) if resume and out else opened(out) as file,
            _bar(generator, window) if progress else nullcontext(_silent) as advance,
        ):
            blocks = (
                _remaining(window, generator, out, file, writer)
                if resume and out
                else _blocks(window, generator, written.format)
            )
            with _injected(generator, reporting, blocks, faults, ledger) as chosen:
                writer.write(chosen, file, advance)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    except KeyboardInterrupt:
        kept = "; --resume goes on from there" if resume else f"; {out} was not written" if out else ""
        click.echo(f"interrupted after {writer.events:,} events{kept}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    click.echo(_account(writer, out), err=True)
    reporting.finish(generator, window, digest=writer.digest, seconds=writer.seconds)


def chosen_generator(
    paths: Paths, names: tuple[str, ...], scenario: Scenario | None = None, **settings: Any
) -> ChainGenerator:
    from eventbus.chains import ChainGenerator, InvalidSetting

    catalog = chosen_catalog(paths, names, scenario)
    if scenario:
        settings |= {"arrivals": settings["arrivals"] or scenario.arrivals, "phases": scenario.phases}
    try:
        return ChainGenerator(catalog, **settings)
    except InvalidSetting as error:
        raise click.UsageError(str(error)) from error


@contextmanager
def _injected(
    generator: ChainGenerator,
    reporting: Reporting,
    blocks: Iterator[Block],
    faults: tuple[Fault, ...],
    ledger: Path | None,
) -> Iterator[Iterator[Block | FaultyBlock]]:
    """The blocks with faults, and with a ledger where one is wanted; else as they are."""
    blocks = reporting.watched(blocks, generator)
    if not faults and ledger is None:
        yield blocks
        return
    from eventbus.chains import InvalidSetting

    with nullcontext() if ledger is None else opened(ledger) as book:
        try:
            injector = generator.injector(faults, book)
        except InvalidSetting as error:
            raise click.UsageError(str(error)) from error
        reporting.faults = injector.injected
        yield injector.blocks(blocks)


def _account(writer: EventWriter, out: Path | None) -> str:
    """One line about what was written."""
    where = f" to {out}" if out else ""
    return (
        f"{writer.events:,} events of {writer.chains:,} chains, {writer.bytes:,} bytes{where} in {writer.seconds:.1f} s"
        f" ({writer.events / max(writer.seconds, 1e-9):,.0f} events/s), sha256 {writer.digest}"
    )


def _blocks(window: Window, generator: ChainGenerator, format: Format) -> Iterator[Block]:
    from eventbus.chains import InvalidSetting

    try:
        return window.blocks(generator, format)
    except InvalidSetting as error:
        raise click.UsageError(str(error)) from error


def _remaining(
    window: Window, generator: ChainGenerator, out: Path, file: BinaryIO, writer: EventWriter
) -> Iterator[Block]:
    from eventbus.chains import InvalidSetting
    from eventbus.chains.errors import NotResumable
    from eventbus.chains.output import partial_path, remaining_blocks

    try:
        return remaining_blocks(window, generator, file, writer)
    except NotResumable:
        partial = partial_path(out)
        raise click.UsageError(f"{partial} is of another run: give the arguments that it had, or delete it") from None
    except InvalidSetting as error:
        raise click.UsageError(str(error)) from error


@contextmanager
def _resumable(out: Path) -> Iterator[BinaryIO]:
    from eventbus.chains.output import resumable_file

    try:
        with resumable_file(out) as file:
            yield file
    except OSError as error:
        raise click.FileError(str(out), hint=error.strerror) from error


@contextmanager
def opened(out: Path | None) -> Iterator[BinaryIO]:
    """stdout, or a file that takes its name when all is written and is gone when something failed."""
    if out is None or str(out) == "-":
        yield sys.stdout.buffer
        return
    if out.exists() and not out.is_file():  # a pipe or a device is written to, never replaced
        with out.open("wb") as device:
            yield device
        return
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with partial.open("xb") as file:
            yield file
        partial.replace(out)
    except BrokenPipeError:  # of stdout, while this file was open beside it
        raise
    except OSError as error:
        raise click.FileError(str(out), hint=error.strerror) from error
    finally:
        partial.unlink(missing_ok=True)


def _silent(block: Block | FaultyBlock) -> None:
    """No progress is shown."""


@contextmanager
def _bar(generator: ChainGenerator, window: Window) -> Iterator[Advance]:
    """A progress bar on stderr, of chains or else of virtual time."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("generating", total=window.chains if window.duration is None else window.duration)

        def advance(block: Block | FaultyBlock) -> None:
            if window.duration is None:
                bar.advance(task, block.chains)
            else:
                bar.update(task, completed=(block.last - generator.start).total_seconds())

        yield advance
