"""Connecting to Kafka and to a schema registry; the options of the connection are named as in Kafka's own clients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventbus.cli.command import option, option_group

if TYPE_CHECKING:
    from eventbus.bus import TopicStrategy
    from eventbus.catalog import Catalog
    from eventbus.chains.rendering import Format, FormatName
    from eventbus.chains.rendering.registry import SchemaForm, SubjectStrategy
    from eventbus.kafka import KafkaSecurity

CONNECTION = "Kafka connection"
"""Section of these options."""
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")

_pem_file = click.Path(exists=True, dir_okay=False, path_type=Path)

bootstrap_option = option(
    "--bootstrap-servers", envvar="KAFKA_BROKERS", default="127.0.0.1:9092", metavar="HOST:PORT,…",
    help="Kafka brokers to connect to first.",
)  # fmt: skip

compression_option = option(
    "--compression", type=click.Choice(["none", "gzip", "snappy", "lz4", "zstd"]), default="none",
    envvar="EVENTBUS_COMPRESSION",
    help="Compression of record batches. zstd is the fastest and smallest, if all consumers can read it.",
)  # fmt: skip


def _security(**values: Any) -> KafkaSecurity:
    """Raises click.UsageError: the values contradict each other."""
    from eventbus.errors import InvalidSettings
    from eventbus.kafka import KafkaSecurity

    try:
        return KafkaSecurity(**values)
    except InvalidSettings as error:
        raise click.UsageError(str(error)) from error


security_options = option_group(
    CONNECTION,
    option(
        "--security-protocol", "protocol", type=click.Choice(PROTOCOLS), default="PLAINTEXT",
        envvar="EVENTBUS_SECURITY_PROTOCOL", help="Whether to encrypt (SSL) and to log in (SASL).",
    ),
    option(
        "--sasl-mechanism", "mechanism", type=click.Choice(MECHANISMS), default="PLAIN",
        envvar="EVENTBUS_SASL_MECHANISM", help="How the password is sent.",
    ),
    option("--sasl-username", "username", envvar="EVENTBUS_SASL_USERNAME", help="User to log in as."),
    option(
        "--sasl-password", "password", envvar="EVENTBUS_SASL_PASSWORD", secret=True,
        help="Its password. Prefer the environment variable: other users can see command lines.",
    ),
    option(
        "--ssl-cafile", "cafile", type=_pem_file, envvar="EVENTBUS_SSL_CAFILE",
        help="Certificates to trust, PEM.  [default: those of the system]",
    ),
    option(
        "--ssl-certfile", "certfile", type=_pem_file, envvar="EVENTBUS_SSL_CERTFILE",
        help="Certificate of this client, PEM.",
    ),
    option(
        "--ssl-keyfile", "keyfile", type=_pem_file, envvar="EVENTBUS_SSL_KEYFILE",
        help="Private key of that certificate, PEM, if it is in a file of its own.",
    ),
    into=_security,
    argument="security",
)  # fmt: skip


def faust_credentials(security: KafkaSecurity) -> Any:
    """The login in Faust's form."""
    from eventbus.processors.faust_app.kafka_transport import credentials

    return credentials(security.username, security.password, mechanism=security.mechanism, tls=security.ssl_context())


@dataclass(frozen=True, kw_only=True)
class RegistryOptions:
    """The values of the options of the schema registry."""

    url: str | None
    auth: str | None
    subjects: SubjectStrategy

    def stream_format(self, name: FormatName, catalog: Catalog, topic_strategy: TopicStrategy) -> Format:
        """The format of that name; one with schemas registers those of the catalog.

        Raises:
            click.UsageError: the format needs a registry, and the options name none.
            InvalidSettings: the address of the registry is invalid.
            SchemaRegistryError: the registry cannot be reached, or refuses.
        """
        from eventbus.chains import rendering

        match name:
            case "avro" | "protobuf":
                return self._registered(name, catalog, topic_strategy)
            case "cloudevents":
                return rendering.CLOUDEVENTS
            case "cloudevents-binary":
                return rendering.CLOUDEVENTS_BINARY
            case "json":
                return rendering.JSON

    def _registered(self, name: SchemaForm, catalog: Catalog, topic_strategy: TopicStrategy) -> Format:
        from eventbus.chains.rendering.registry import registered
        from eventbus.kafka import SchemaRegistry

        if not self.url:
            raise click.UsageError(f"--format {name} needs --schema-registry URL")
        registry = SchemaRegistry(self.url, auth=self.auth)
        return registered(name, catalog, registry.register, topic_strategy=topic_strategy, subjects=self.subjects)


registry_options = option_group(
    "Schema registry",
    option(
        "--schema-registry", "url", metavar="URL", envvar="EVENTBUS_SCHEMA_REGISTRY",
        help="Registry in which to register schemas: http://[user:password@]host:port.",
    ),
    option(
        "--schema-registry-auth", "auth", metavar="USER:PASSWORD", envvar="EVENTBUS_SCHEMA_REGISTRY_AUTH",
        secret=True, help="Login. Prefer the environment variable: other users can see command lines.",
    ),
    option(
        "--subject-strategy", "subjects", type=click.Choice(["topic", "record", "topic-record"]), default="topic",
        help="Subject of a schema: the topic, for one schema of all its event types; the event type; or both.",
    ),
    into=RegistryOptions,
    argument="registry",
)  # fmt: skip
