"""Options of formats that need a schema registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from eventbus.bus import TopicStrategy
    from eventbus.catalog import Catalog
    from eventbus.chains.rendering import Format
    from eventbus.chains.rendering.registry import SchemaForm, SubjectStrategy

OPTIONS = (
    click.option(
        "--schema-registry", "url", metavar="URL", envvar="EVENTBUS_SCHEMA_REGISTRY",
        help="Where schemas are registered: http://[user:password@]host:port [env EVENTBUS_SCHEMA_REGISTRY].",
    ),
    click.option(
        "--schema-registry-auth", "auth", metavar="USER:PASSWORD", envvar="EVENTBUS_SCHEMA_REGISTRY_AUTH",
        help="Better in the environment, where other users do not see it [env EVENTBUS_SCHEMA_REGISTRY_AUTH].",
    ),
    click.option(
        "--subject-strategy", "subjects", type=click.Choice(["topic", "record", "topic-record"]), default="topic",
        show_default=True,
        help="A schema for each topic, for any of its event types; or for each event type, under its name, "
        "or its topic's and its own.",
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RegistryOptions:
    """What the user chose."""

    url: str | None
    auth: str | None
    subjects: SubjectStrategy

    def format(self, form: SchemaForm, catalog: Catalog, topic_strategy: TopicStrategy) -> Format:
        """Register the schemas.

        Raises:
            click.UsageError: there is no address.
            InvalidSettings: it is none.
            SchemaRegistryError: the registry cannot be reached, or refuses.
        """
        from eventbus.chains.rendering.registry import registered
        from eventbus.kafka import SchemaRegistry

        if not self.url:
            raise click.UsageError(f"--format {form} needs --schema-registry URL")
        registry = SchemaRegistry(self.url, auth=self.auth)
        return registered(form, catalog, registry.register, topic_strategy=topic_strategy, subjects=self.subjects)


def registry_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command these options, as one argument `registry`, a `RegistryOptions`."""

    @wraps(command)
    def with_registry(**options: Any) -> Any:
        given = {name: options.pop(name) for name in RegistryOptions.__dataclass_fields__}
        return command(registry=RegistryOptions(**given), **options)

    decorated: Callable[..., Any] = with_registry
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return decorated
