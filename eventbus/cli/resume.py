"""`eventbus generate --resume`: going on with a file that was not finished, to the same bytes as if it had been."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from eventbus.cli.part import Part

if TYPE_CHECKING:
    from eventbus.chains import Block, ChainGenerator
    from eventbus.cli.commands.generate import Run
    from eventbus.event import Event

CHUNK = 1 << 22
BEFORE = rb'"event_id":"[^"]*","event_type":"[^"]*","timestamp":"[^"]*","correlation_id":"[^"]*"'
ROOT = re.compile(rb'^\{%b,"causation_id":null,' % BEFORE, re.MULTILINE)
"""The beginning of a line that begins a chain."""
LINE = b'{"event_id":"'
"""The beginning of every line."""


def partial(out: Path) -> Path:
    """Where the events are until the file is complete."""
    return out.with_name(f"{out.name}.part")


@contextmanager
def resumable(out: Path) -> Iterator[BinaryIO]:
    """A file that takes its name when all is written, and is kept under another one when something failed."""
    unfinished = partial(out)
    try:
        with unfinished.open("a+b") as file:
            yield file
        unfinished.replace(out)
    except OSError as error:
        raise click.FileError(str(out), hint=error.strerror) from error


def continued(part: Part, generator: ChainGenerator, out: Path, file: BinaryIO, run: Run) -> Iterator[Block]:
    """The events that the unfinished file lacks; those that it has are accounted for.

    Raises:
        click.UsageError: it is not the beginning of this part of this run; then it stays as it is.
    """
    last, rest = _recovered(file, run)
    if last is not None:
        blocks = _behind(part, generator, last)
    else:
        blocks = part.blocks(generator) if LINE.startswith(rest[: len(LINE)]) else None
    if blocks is None:
        raise click.UsageError(f"{partial(out)} is of another run: give the arguments that it had, or delete it")
    file.truncate(run.bytes)
    return blocks


def _recovered(file: BinaryIO, run: Run) -> tuple[bytes | None, bytes]:
    """Accounts for the whole lines of a file; the last of them, and what follows it."""
    last, rest = None, b""
    file.seek(0)
    while more := file.read(CHUNK):
        text, newline, rest = (rest + more).rpartition(b"\n")
        if newline:
            run.include(text + newline, events=text.count(b"\n") + 1, chains=len(ROOT.findall(text)))
            last = text[text.rfind(b"\n") + 1 :]
    return last, rest


def _behind(part: Part, generator: ChainGenerator, last: bytes) -> Iterator[Block] | None:
    """The events behind the one of a line; None if there is no such event."""
    event = _event(last)
    if event is None:
        return None
    blocks = replace(part, since=event.timestamp).blocks(generator)
    for block in blocks:
        lines = [line for some in block.lines() for line in some]
        if last in lines:
            others = block[lines.index(last) + 1 :]
            return chain([others] if len(others) else [], blocks)
        if block.last > event.timestamp:
            break
    return None


def _event(line: bytes) -> Event | None:
    from eventbus.errors import EventBusError
    from eventbus.event import Event

    try:
        return Event.from_bytes(line)
    except EventBusError:
        return None
