"""`--format`: the forms in which events are written into files and sent to sinks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from eventbus.bus import TopicStrategy
    from eventbus.catalog import Catalog
    from eventbus.chains import Block
    from eventbus.chains.faults.splice import FaultyBlock
    from eventbus.chains.rendering import Format
    from eventbus.cli.registry import RegistryOptions


TYPED = ("avro", "protobuf")
"""Formats with schemas, which are no text."""


class FileFormat(NamedTuple):
    """How events become a file."""

    format: Format
    """In which the generator is to write them."""
    framed: Callable[[Block | FaultyBlock], bytes]
    """From a block to what is written."""
    head: bytes = b""
    """Before all blocks."""


def file_format(form: str, catalog: Catalog, *, struck: bool) -> FileFormat:
    """The format of a name.

    Args:
        struck: faults are injected on the way; they break JSON events, which take their form afterwards.

    Raises:
        click.UsageError: this format cannot be struck.
    """
    from eventbus.chains import rendering

    if form in TYPED and struck:
        raise click.UsageError(f"--fault and --ledger are about JSON: --format json or cloudevents, not {form}")
    if form == "avro":
        return _avro(catalog)
    if form == "protobuf":
        return _protobuf(catalog)
    if form == "cloudevents":
        return FileFormat(rendering.JSON, _converted) if struck else FileFormat(rendering.CLOUDEVENTS, _copied)
    return FileFormat(rendering.JSON, _copied)


def _avro(catalog: Catalog) -> FileFormat:
    from eventbus.catalog.export.typed import message
    from eventbus.chains.rendering.avro import AvroFile, AvroFormat

    every = message(catalog, list(catalog.events))
    file = AvroFile(every)
    format = AvroFormat(dict.fromkeys(catalog.events, every))
    return FileFormat(format, lambda block: file.framed(len(block), block.buffer), file.head)


def _protobuf(catalog: Catalog) -> FileFormat:
    from eventbus.catalog.export.typed import message
    from eventbus.chains.rendering.protobuf import ProtobufFormat

    every = message(catalog, list(catalog.events))
    return FileFormat(ProtobufFormat(dict.fromkeys(catalog.events, every)), _copied)


def stream_format(form: Format, registry: RegistryOptions, catalog: Catalog, topic_strategy: TopicStrategy) -> Format:
    """The format of the records of a stream; one that has schemas registers them.

    Raises:
        click.UsageError: such a format needs the address of a registry.
        InvalidSettings: it is none.
        SchemaRegistryError: the registry cannot be reached, or refuses.
    """
    from eventbus.chains import rendering

    match form:
        case "avro" | "protobuf":
            return registry.format(form, catalog, topic_strategy)
        case "cloudevents":
            return rendering.CLOUDEVENTS
        case "cloudevents-binary":
            return rendering.CLOUDEVENTS_BINARY
        case "json":
            return rendering.JSON


def _copied(block: Block | FaultyBlock) -> bytes:
    return bytes(block.buffer)


def _converted(block: Block | FaultyBlock) -> bytes:
    from eventbus.chains.rendering.json import structured_lines

    return structured_lines(bytes(block.buffer))
