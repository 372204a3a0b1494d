"""`--format`: the forms in which events are written into files and sent to sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventbus.bus import TopicStrategy
    from eventbus.catalog import Catalog
    from eventbus.chains.rendering import Format, FormatName
    from eventbus.cli.registry import RegistryOptions


TYPED = ("avro", "protobuf")
"""Formats with schemas, which are no text."""


def stream_format(
    form: FormatName, registry: RegistryOptions, catalog: Catalog, topic_strategy: TopicStrategy
) -> Format:
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
