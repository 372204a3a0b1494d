"""Options by which a command logs in to Kafka; the names are those of Kafka's own clients."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from eventbus.kafka import KafkaSecurity

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

OPTIONS = (
    click.option(
        "--security-protocol", "protocol", type=click.Choice(PROTOCOLS), default="PLAINTEXT", show_default=True,
        envvar="EVENTBUS_SECURITY_PROTOCOL", help="[env EVENTBUS_SECURITY_PROTOCOL]",
    ),
    click.option(
        "--sasl-mechanism", "mechanism", type=click.Choice(MECHANISMS), default="PLAIN", show_default=True,
        envvar="EVENTBUS_SASL_MECHANISM", help="[env EVENTBUS_SASL_MECHANISM]",
    ),
    click.option(
        "--sasl-username", "username", envvar="EVENTBUS_SASL_USERNAME", help="[env EVENTBUS_SASL_USERNAME]"
    ),
    click.option(
        "--sasl-password", "password", envvar="EVENTBUS_SASL_PASSWORD",
        help="Better in the environment, where other users do not see it [env EVENTBUS_SASL_PASSWORD].",
    ),
    click.option(
        "--ssl-cafile", "cafile", type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="EVENTBUS_SSL_CAFILE",
        help="Certificates to trust, PEM [default: those of the system; env EVENTBUS_SSL_CAFILE].",
    ),
    click.option(
        "--ssl-certfile", "certfile", type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="EVENTBUS_SSL_CERTFILE", help="The client's own certificate, PEM [env EVENTBUS_SSL_CERTFILE].",
    ),
    click.option(
        "--ssl-keyfile", "keyfile", type=click.Path(exists=True, dir_okay=False, path_type=Path),
        envvar="EVENTBUS_SSL_KEYFILE", help="Its key, if in a file of its own, PEM [env EVENTBUS_SSL_KEYFILE].",
    ),
)  # fmt: skip


def faust_credentials(security: KafkaSecurity) -> Any:
    """The same login in Faust's form."""
    from eventbus.processors.faust_app.kafka_transport import credentials

    return credentials(security.username, security.password, mechanism=security.mechanism, tls=security.ssl_context())


def security_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command these options, as one argument `security`, a `KafkaSecurity`."""

    @wraps(command)
    def with_security(**options: Any) -> Any:
        from eventbus.errors import InvalidSettings
        from eventbus.kafka import KafkaSecurity

        given = {name: options.pop(name) for name in KafkaSecurity.__dataclass_fields__}
        try:
            return command(security=KafkaSecurity(**given), **options)
        except InvalidSettings as error:
            raise click.UsageError(str(error)) from error

    decorated: Callable[..., Any] = with_security
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return decorated
