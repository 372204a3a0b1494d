"""`eventbus generate`: events into a file or to stdout, as fast as possible."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from eventbus.cli import types
from eventbus.cli.command import Command, option, option_group
from eventbus.cli.errors import INTERRUPTED
from eventbus.cli.files import output_file
from eventbus.cli.options.arrivals import ArrivalOptions, arrival_options
from eventbus.cli.options.common import (
    Paths,
    at_end_option,
    catalog_option,
    chain_option,
    chosen_generator,
    fixed_seed_option,
    start_option,
    tenants_option,
)
from eventbus.cli.options.faults import SECTION as FAULTS
from eventbus.cli.options.faults import fault_option, ledger_option
from eventbus.cli.options.monitoring import SUMMARY, report_option, summary_option
from eventbus.cli.options.scenario import is_given, note_throughput, scenario_option, set_option, with_scenario
from eventbus.cli.render.progress import ProgressBar, progress_bar
from eventbus.cli.reporting import RunReporter
from eventbus.cli.running import interrupted_by_sigterm

if TYPE_CHECKING:
    from eventbus.catalog import Scenario
    from eventbus.catalog.model import Tenants
    from eventbus.catalog.model.workload import AtEnd
    from eventbus.chains import Block, ChainGenerator
    from eventbus.chains.faults import Fault
    from eventbus.chains.faults.splice import FaultyBlock
    from eventbus.chains.output import EventWriter
    from eventbus.chains.rendering import Format
    from eventbus.chains.repeat import RepeatedRun
    from eventbus.chains.window import RunWindow

GOES_WITH_LIKE = (
    *("like", "paths", "scenario_name", "workers"),
    *("out", "form", "progress", "ledger", "summary", "report"),
)
"""Options that do not change the run of `--like`."""
DEFAULT_CHAINS = 100
"""Chains of a run that no option bounds."""


@click.command(cls=Command)
@with_scenario
@option_group(
    "What to generate",
    option(
        "--like",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="LEDGER",
        help="Repeat the run of a ledger, with its faults; a run that was stopped ends where it stopped. --catalog and "
        "--scenario say where the files of its catalog are now; other options that change the run are refused.",
    ),
    scenario_option,
    set_option,
    catalog_option,
    chain_option,
    option(
        "--chains",
        type=click.IntRange(min=0),
        help=f"Number of chains.  [default: {DEFAULT_CHAINS}, unless another option ends the run]",
    ),
    option("--duration", type=types.duration, help="Length of the run in virtual time: 30s, 5m, 1h, 2d."),
    at_end_option,
    start_option,
    fixed_seed_option,
    tenants_option,
)
@arrival_options(option("--rate", type=float, default=10.0, help="Chains per second of virtual time."))
@option_group(
    "Which part of the run",
    option("--from", "since", type=types.instant, metavar="TIME", help="Only events from this virtual time on."),
    option("--until", type=types.instant, metavar="TIME", help="Only events before this virtual time."),
    option(
        "--index",
        type=click.IntRange(min=0),
        metavar="N",
        help="Only the chain with this number in the run, counted from 0.",
    ),
    option("--workers", type=int, default=1, help="Processes to use; the output does not depend on it."),
)
@option_group(FAULTS, fault_option, ledger_option)
@option_group(
    "Output and format",
    option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write.  [default: stdout]"),
    option(
        "--resume",
        is_flag=True,
        help="Keep an unfinished file as FILE.part, and continue it when the command is run again.",
    ),
    option(
        "--format",
        "form",
        type=click.Choice(["json", "cloudevents", "avro", "protobuf"]),
        default="json",
        help="json: the event. cloudevents: a CloudEvent in structured mode. avro: an object container file. "
        "protobuf: Protocol Buffers messages, each after its length.",
    ),
    option("--progress/--no-progress", default=None, help="Show a progress bar on stderr.  [default: on a terminal]"),
)
@option_group(SUMMARY, summary_option, report_option)  # fmt: skip
def generate(
    *,
    like: Path | None,
    scenario: Scenario | None,
    chains: int | None,
    duration: float | None,
    at_end: AtEnd,
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
    summary: bool,
    report: Path | None,
    progress: bool | None,
) -> None:
    """Write generated events, ordered by time, without waiting: as JSON lines or in another format.

    The same arguments give the same bytes on every machine; compare the SHA-256 at the end. A file appears under its
    name when it is complete; until then it has a temporary name in the same folder.

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
      eventbus generate --like ledger.jsonl --out again.jsonl
    """
    from eventbus.chains.output import EventWriter, file_format

    repeated = None if like is None else _repeated(like, paths)
    model = arrivals.model(rate) or (scenario.arrivals if scenario else None)
    if repeated is None and model and all(bound is None for bound in (chains, duration, until, index)):
        duration = model.duration
        if scenario and duration is None:
            click.echo(f"note: the scenario has no end; these are {DEFAULT_CHAINS} chains of it", err=True)
    reporter = RunReporter(summary=summary, report=report)
    if repeated is None:
        window = _window(chains, duration, since=since, until=until, index=index, workers=workers)
    else:
        window, faults = replace(repeated.window, workers=workers), repeated.record.faults
    with_faults = bool(faults or ledger)
    _check(window, form, with_faults=with_faults, resume=resume, out=out, reporter=reporter)
    generator = (
        repeated.generator
        if repeated is not None
        else chosen_generator(
            paths,
            names,
            scenario,
            seed=seed,
            start=start,
            rate=rate,
            arrivals=model,
            tenants=tenants,
            at_end=at_end,
        )
    )
    if scenario:
        note_throughput(generator)
    if progress is None:
        progress = sys.stderr.isatty() and (out is not None or not sys.stdout.isatty())
    written = file_format(form, generator.catalog, with_faults=with_faults)
    writer = EventWriter(written)
    try:
        with (
            interrupted_by_sigterm(),
            _resumable(out) if resume and out else output_file(out) as file,
            progress_bar(
                "generating", window.chains if window.duration is None else window.duration, shown=progress
            ) as bar,
        ):
            if repeated is not None:
                blocks = repeated.blocks(workers=workers, format=written.format)
            elif resume and out:
                blocks = _remaining(window, generator, out, file, writer)
            else:
                blocks = _blocks(window, generator, written.format)
            injection = _injected(
                blocks, faults, ledger, generator=generator, window=window, reporter=reporter, repeated=repeated
            )
            with injection as injected:
                writer.write(injected, file, lambda block: _advance(bar, block, generator, window))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    except KeyboardInterrupt:
        kept = "; --resume goes on from there" if resume else f"; {out} was not written" if out else ""
        click.echo(f"interrupted after {writer.events:,} events{kept}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    click.echo(_account(writer, out), err=True)
    reporter.finish(generator, window, digest=writer.digest, seconds=writer.seconds)


def _check(
    window: RunWindow, form: str, *, with_faults: bool, resume: bool, out: Path | None, reporter: RunReporter
) -> None:
    """Raises click.UsageError: options contradict each other."""
    from eventbus.chains.output import BINARY_FORMATS

    if with_faults and not window.is_whole:
        raise click.UsageError("--fault and --ledger need the whole run: no --from, --until or --index")
    if resume and (out is None or window.index is not None or with_faults or form != "json"):
        raise click.UsageError(
            "--resume needs --out, and goes with neither --index nor --fault nor --ledger nor --format"
        )
    if resume and reporter.is_wanted:
        raise click.UsageError("--summary and --report need the whole run: no --resume")
    if form in BINARY_FORMATS and with_faults:
        raise click.UsageError(f"--fault and --ledger are about JSON: --format json or cloudevents, not {form}")


@contextmanager
def _injected(
    blocks: Iterator[Block],
    faults: tuple[Fault, ...],
    ledger: Path | None,
    *,
    generator: ChainGenerator,
    window: RunWindow,
    reporter: RunReporter,
    repeated: RepeatedRun | None,
) -> Iterator[Iterator[Block | FaultyBlock]]:
    """The blocks with the faults injected, while the ledger is written if there is one."""
    blocks = reporter.counted(blocks, generator)
    if not faults and ledger is None:
        yield blocks
        return
    from eventbus.chains import InvalidSetting

    with nullcontext() if ledger is None else output_file(ledger) as ledger_file:
        try:
            injector = generator.injector(faults, ledger_file, chains=window.chains, duration=window.duration)
        except InvalidSetting as error:
            raise click.UsageError(str(error)) from error
        reporter.faults = injector.injected
        yield injector.blocks(blocks) if repeated is None else repeated.injected(injector, blocks)


def _repeated(like: Path, paths: Paths) -> RepeatedRun:
    """The run of a ledger, with its catalog from where it is now.

    Raises:
        click.UsageError: an option says what the ledger says; or the run cannot be repeated.
    """
    from eventbus.chains.errors import InvalidLedger, InvalidSetting
    from eventbus.chains.repeat import RepeatedRun

    context = click.get_current_context()
    for parameter in context.command.params:
        if parameter.name not in GOES_WITH_LIKE and is_given(context.params, parameter.name or ""):
            raise click.UsageError(f"{parameter.opts[0]} contradicts --like, which repeats the run of {like} as it was")
    try:
        with like.open("rb") as ledger:
            repeated = RepeatedRun(ledger, paths=paths, scenario=context.params["scenario_name"])
    except (InvalidLedger, InvalidSetting) as error:
        raise click.UsageError(f"--like {like}: {error}") from error
    except OSError as error:
        raise click.FileError(str(like), hint=error.strerror) from error
    if repeated.version_note:
        click.echo(f"note: {repeated.version_note}", err=True)
    return repeated


def _account(writer: EventWriter, out: Path | None) -> str:
    """One line about what was written."""
    where = f" to {out}" if out else ""
    return (
        f"{writer.events:,} events of {writer.chains:,} chains, {writer.bytes:,} bytes{where} in {writer.seconds:.1f} s"
        f" ({writer.events / max(writer.seconds, 1e-9):,.0f} events/s), sha256 {writer.digest}"
    )


def _blocks(window: RunWindow, generator: ChainGenerator, format: Format) -> Iterator[Block]:
    from eventbus.chains import InvalidSetting

    try:
        return window.blocks(generator, format)
    except InvalidSetting as error:
        raise click.UsageError(str(error)) from error


def _remaining(
    window: RunWindow, generator: ChainGenerator, out: Path, file: BinaryIO, writer: EventWriter
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


def _window(chains: int | None, duration: float | None, **options: Any) -> RunWindow:
    """The window that the options name; a run without bounds has 100 chains, unless `--until` ends it.

    Raises:
        click.UsageError: the options contradict each other, or the window would never end.
    """
    from eventbus.chains.window import RunWindow

    window = RunWindow(chains=chains, duration=duration, **options)
    bounds = (window.chains, window.duration, window.until)
    if window.index is not None:
        if any(bound is not None for bound in (window.chains, window.since, window.until)) or window.workers != 1:
            raise click.UsageError(
                "--index names a chain, whose events are all there are: no bound but --duration goes with it"
            )
        return window
    if window.since and window.until and window.since >= window.until:
        raise click.UsageError(f"expected --from before --until, got {window.since} and {window.until}")
    if any(bound is not None for bound in bounds):
        return window
    if window.since is not None:
        raise click.UsageError("--from alone would never end: add --until, --duration or --chains")
    return replace(window, chains=DEFAULT_CHAINS)


def _advance(bar: ProgressBar, block: Block | FaultyBlock, generator: ChainGenerator, window: RunWindow) -> None:
    """Moves the bar past a block: by chains, or else in virtual time."""
    if window.duration is None:
        bar.advance(block.chains)
    else:
        bar.move_to((block.last - generator.start).total_seconds())
