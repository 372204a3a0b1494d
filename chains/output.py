"""Files of events: their format, their SHA-256, and how an interrupted one is completed to the same bytes."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

from eventbus.catalog import Catalog
from eventbus.chains.errors import InvalidSetting, NotResumable
from eventbus.chains.faults.splice import FaultyBlock
from eventbus.chains.generator import ChainGenerator
from eventbus.chains.rendering import CLOUDEVENTS, JSON, Format
from eventbus.chains.rendering.block import Block
from eventbus.chains.window import RunWindow
from eventbus.errors import EventBusError
from eventbus.event import Event

BINARY_FORMATS = ("avro", "protobuf")
"""Formats with a schema, which are not text."""


class FileFormat(NamedTuple):
    """How blocks of events become the bytes of a file."""

    format: Format
    """The format in which the generator renders the blocks."""
    encode: Callable[[Block | FaultyBlock], bytes | memoryview]
    """The bytes to write for a block, valid until the block after the next one is asked for."""
    header: bytes = b""
    """Written before all blocks."""


def file_format(name: str, catalog: Catalog, *, with_faults: bool = False) -> FileFormat:
    """The file format of a name: `json`, `cloudevents`, `avro` or `protobuf`.

    Args:
        with_faults: whether faults or a ledger are wanted. These work on JSON events, so CloudEvents are converted
            from the JSON events after the faults.

    Raises:
        InvalidSetting: there is no such format, or it cannot have faults.
    """
    # imported where they are needed: text formats do not pay for the schema exporter
    if name in BINARY_FORMATS and with_faults:
        raise InvalidSetting(f"faults and a ledger need JSON events: expected json or cloudevents, got {name}")
    match name:
        case "json":
            return FileFormat(JSON, _as_rendered)
        case "cloudevents":
            return FileFormat(JSON, _to_cloudevents) if with_faults else FileFormat(CLOUDEVENTS, _as_rendered)
        case "avro":
            return _avro(catalog)
        case "protobuf":
            return _protobuf(catalog)
    raise InvalidSetting(f"expected a format of json, cloudevents, avro or protobuf, got {name!r}")


def _avro(catalog: Catalog) -> FileFormat:
    from eventbus.catalog.export.typed import message  # noqa: PLC0415
    from eventbus.chains.rendering.avro import AvroFile, AvroFormat  # noqa: PLC0415

    union = message(catalog, list(catalog.events))
    file = AvroFile(union)
    format = AvroFormat(dict.fromkeys(catalog.events, union))
    return FileFormat(format, lambda block: file.framed(len(block), block.buffer), file.head)


def _protobuf(catalog: Catalog) -> FileFormat:
    from eventbus.catalog.export.typed import message  # noqa: PLC0415
    from eventbus.chains.rendering.protobuf import ProtobufFormat  # noqa: PLC0415

    union = message(catalog, list(catalog.events))
    return FileFormat(ProtobufFormat(dict.fromkeys(catalog.events, union)), _as_rendered)


def _as_rendered(block: Block | FaultyBlock) -> bytes | memoryview:
    return block.keep() if isinstance(block, Block) else block.buffer


def _to_cloudevents(block: Block | FaultyBlock) -> bytes:
    from eventbus.chains.rendering.json import structured_lines  # noqa: PLC0415

    return structured_lines(bytes(block.buffer))


def _no_progress(block: Block | FaultyBlock) -> None:
    pass


class EventWriter:
    """Writes blocks of events to a file, counts them and computes the SHA-256 of all bytes."""

    def __init__(self, format: FileFormat) -> None:
        self._format = format
        self.events = self.chains = self.bytes = 0
        #: From the creation of the writer to the end of `write`.
        self.seconds = 0.0
        self._hash = hashlib.sha256()
        self._created = time.monotonic()

    def include(self, text: bytes, *, events: int, chains: int) -> None:
        """Counts and digests bytes that are in the file already."""
        self._hash.update(text)
        self.events += events
        self.chains += chains
        self.bytes += len(text)

    def write(
        self,
        blocks: Iterable[Block | FaultyBlock],
        file: BinaryIO,
        on_progress: Callable[[Block | FaultyBlock], None] = _no_progress,
    ) -> None:
        """Writes the header and all blocks; a second thread computes the digest while the next block is rendered.

        Args:
            on_progress: is called with each block after it is written.
        """
        self.include(self._format.header, events=0, chains=0)
        file.write(self._format.header)
        with ThreadPoolExecutor(1) as executor:
            hashed = executor.submit(self._hash.update, b"")
            for block in blocks:
                text = self._format.encode(block)
                hashed.result()
                hashed = executor.submit(self._hash.update, text)
                file.write(text)
                self.events += len(block)
                self.chains += block.chains
                self.bytes += len(text)
                on_progress(block)
        file.flush()
        self.seconds = time.monotonic() - self._created

    @property
    def digest(self) -> str:
        """The SHA-256 of all bytes so far, in hexadecimal."""
        return self._hash.hexdigest()


# Resuming an interrupted file of JSON lines.


READ_SIZE = 1 << 22
HEAD = rb'"event_id":"[^"]*","event_type":"[^"]*","timestamp":"[^"]*","correlation_id":"[^"]*"'
ROOT = re.compile(rb'^\{%b,"causation_id":null,' % HEAD, re.MULTILINE)
"""The beginning of a line that holds the first event of a chain."""
LINE = b'{"event_id":"'
"""The beginning of every line."""


def partial_path(path: Path) -> Path:
    """Where a resumable file is kept until it is complete."""
    return path.with_name(f"{path.name}.part")


@contextmanager
def resumable_file(path: Path) -> Iterator[BinaryIO]:
    """Opens the partial file for reading and appending; renames it when the block ends without an exception.

    Raises:
        OSError: the file cannot be opened, written or renamed.
    """
    partial = partial_path(path)
    with partial.open("a+b") as file:
        yield file
    partial.replace(path)


def remaining_blocks(
    window: RunWindow, generator: ChainGenerator, file: BinaryIO, writer: EventWriter
) -> Iterator[Block]:
    """The blocks that a partial file of JSON lines lacks; the writer counts and digests what the file has.

    An incomplete last line is cut off.

    Raises:
        NotResumable: the file is not the beginning of this window of this run; it is left as it is.
    """
    last, incomplete = _include_lines(file, writer)
    if last is not None:
        blocks = _blocks_after(window, generator, last)
    else:
        blocks = window.blocks(generator) if LINE.startswith(incomplete[: len(LINE)]) else None
    if blocks is None:
        raise NotResumable("the partial file belongs to another run")
    file.truncate(writer.bytes)
    return blocks


def _include_lines(file: BinaryIO, writer: EventWriter) -> tuple[bytes | None, bytes]:
    """Includes the complete lines of a file; returns the last of them, and the incomplete line after it."""
    last, incomplete = None, b""
    file.seek(0)
    while chunk := file.read(READ_SIZE):
        text, newline, incomplete = (incomplete + chunk).rpartition(b"\n")
        if newline:
            writer.include(text + newline, events=text.count(b"\n") + 1, chains=len(ROOT.findall(text)))
            last = text[text.rfind(b"\n") + 1 :]
    return last, incomplete


def _blocks_after(window: RunWindow, generator: ChainGenerator, line: bytes) -> Iterator[Block] | None:
    """The events after the one of a line; None if the window has no such event."""
    try:
        event = Event.from_bytes(line)
    except EventBusError:
        return None
    blocks = replace(window, since=event.timestamp).blocks(generator)
    for block in blocks:
        lines = list(chain.from_iterable(block.lines()))
        if line in lines:
            remaining = block[lines.index(line) + 1 :]
            return chain([remaining] if len(remaining) else [], blocks)
        if block.last > event.timestamp:
            break
    return None
