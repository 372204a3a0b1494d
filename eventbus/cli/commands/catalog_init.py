"""`eventbus catalog init` and `learn`: a catalog from documents or recorded events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from eventbus.cli.command import Command, option
from eventbus.cli.errors import INTERRUPTED
from eventbus.cli.files import output_file
from eventbus.cli.options.common import Paths, catalog_option, chosen_catalog
from eventbus.cli.render.progress import file_size, progress_bar

if TYPE_CHECKING:
    from eventbus.catalog import Catalog

out_option = option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="File to write.  [default: stdout]"
)
progress_option = option(
    "--progress/--no-progress", default=None, help="Show a progress bar on stderr.  [default: on a terminal]"
)


@click.command(cls=Command, short_help="Create a catalog from a JSON Schema or AsyncAPI document.")
@option(
    "--from",
    "source",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A JSON Schema or an AsyncAPI 2 or 3 document, as JSON or YAML; or events as .jsonl.",
)
@out_option
def init(source: Path, out: Path | None) -> None:
    """Create a catalog from a JSON Schema of your events, or from an AsyncAPI document.

    What the document does not say, such as the order of events, is guessed: review the comments that begin with
    `verify`. The catalog can be used at once. A document that was exported from a catalog gives that catalog again.
    References to other documents are not followed. From a file of events (.jsonl), the catalog is learned.

    \b
    Examples:
      eventbus catalog init --from order-placed.schema.json --out mine.yaml
      eventbus catalog init --from asyncapi.yaml --out mine.yaml
      eventbus generate --catalog mine.yaml --chains 3
    """
    if {".jsonl", ".ndjson"} & set(source.suffixes):
        with source.open("rb") as file:
            _learn(file, out, None, progress=None)
        return
    from eventbus.catalog.errors import plural
    from eventbus.catalog.infer import infer

    draft = infer(source)
    _write(draft.text(), out)
    guesses = sum(len(notes) for notes in draft.notes.values())
    made = f"{plural(len(draft.catalog.events), 'event type')} in {plural(len(draft.catalog.chains), 'chain')}"
    click.echo(f"{made}, {plural(guesses, 'guess', 'guesses')} to verify" if guesses else made, err=True)


@click.command(cls=Command, short_help="Fit a catalog to recorded events, JSON lines.")
@click.argument("file", type=click.File("rb"))
@out_option
@option(
    "--merge",
    is_flag=True,
    help="Keep the states and payloads of the catalog's chains; learn only their weights, shares and delays.",
)
@catalog_option
@progress_option
def learn(file: BinaryIO, out: Path | None, *, merge: bool, paths: Paths, progress: bool | None) -> None:
    """Fit a catalog to FILE, recorded events as JSON lines (also gzip or Zstandard; `-` for stdin).

    Learns the chains as state machines, their weights, the shares of branches, the delays, and the sources of payload
    values. Comments in the catalog say how certain that is; stderr says what was left out. With --merge, chains of
    the catalog (--catalog, or the shipped one) keep their states and payloads, and get the weights, shares and delays
    of FILE. Exit code 1: nothing could be learned.

    \b
    Examples:
      eventbus catalog learn events.jsonl --out learned.yaml
      zcat events-*.gz | eventbus catalog learn - --out learned.yaml
      eventbus catalog learn events.jsonl --merge --catalog mine.yaml --out mine-fitted.yaml
      eventbus generate --catalog learned.yaml --chains 1000
    """
    if paths and not merge:
        raise click.UsageError("--catalog needs --merge: without it nothing of a catalog is used")
    _learn(file, out, chosen_catalog(paths) if merge else None, progress=progress)


def _learn(file: BinaryIO, out: Path | None, known: Catalog | None, *, progress: bool | None) -> None:
    from eventbus.chains.learning import batches
    from eventbus.chains.learning import learn as learn_catalog
    from eventbus.cli.running import interrupted_by_sigterm

    with _interruptible(), interrupted_by_sigterm(), _with_progress(file, batches(file), progress) as lines:
        result = learn_catalog(lines, _name(file), known)
    _write(result.draft.text(), out)
    click.echo("\n".join(result.account), err=True)


def _write(text: str, out: Path | None) -> None:
    with output_file(out) as file:
        file.write(text.encode())
        file.flush()


def _name(file: BinaryIO) -> str:
    name = str(getattr(file, "name", "-"))
    return "stdin" if name in {"-", "<stdin>"} else Path(name).name


@contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        click.echo("interrupted; nothing was written", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


@contextmanager
def _with_progress(
    file: BinaryIO, batches: Iterator[list[bytes]], progress: bool | None
) -> Iterator[Iterator[list[bytes]]]:
    """The batches, with a progress bar of the bytes read."""
    size = file_size(file)
    with progress_bar("reading", size, shown=progress) as bar:

        def advancing() -> Iterator[list[bytes]]:
            for lines in batches:
                yield lines
                if size is not None:
                    bar.move_to(file.tell())
            bar.rename("fitting")

        yield advancing()
