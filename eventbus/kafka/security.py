"""Authentication and encryption of a Kafka client."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from eventbus.errors import InvalidSettings

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSecurity:
    """Security settings of a Kafka client, named as in Kafka's own clients.

    Raises:
        InvalidSettings: the settings contradict each other, such as SASL without a password.
    """

    protocol: SecurityProtocol = "PLAINTEXT"
    mechanism: SaslMechanism = "PLAIN"
    """Used with SASL_PLAINTEXT and SASL_SSL only."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    cafile: Path | None = None
    """Trusted certificates, PEM; None: those of the system."""
    certfile: Path | None = None
    """The client's certificate, PEM, for brokers that require one."""
    keyfile: Path | None = None
    """The private key of the certificate, PEM; None: it is in `certfile`."""

    def __post_init__(self) -> None:
        if self.uses_sasl and not (self.username and self.password):
            raise InvalidSettings(f"{self.protocol} needs a user name and a password")
        if self.username and not self.uses_sasl:
            raise InvalidSettings(f"a user name needs SASL_PLAINTEXT or SASL_SSL, the protocol is {self.protocol}")
        if (self.cafile or self.certfile) and not self.uses_tls:
            raise InvalidSettings(f"certificates need SSL or SASL_SSL, the protocol is {self.protocol}")
        if self.keyfile and not self.certfile:
            raise InvalidSettings("a key file needs the certificate it belongs to")

    @property
    def uses_sasl(self) -> bool:
        return self.protocol.startswith("SASL")

    @property
    def uses_tls(self) -> bool:
        return self.protocol.endswith("SSL")

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context; None without TLS.

        Raises:
            InvalidSettings: a certificate or key cannot be read.
        """
        if not self.uses_tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.cafile)
            if self.certfile:
                context.load_cert_chain(self.certfile, self.keyfile)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(str(file) for file in (self.cafile, self.certfile, self.keyfile) if file)
            raise InvalidSettings(f"expected PEM files, could not use {files}: {error}") from error
        return context

    def client_arguments(self) -> dict[str, Any]:
        """The settings as keyword arguments of an aiokafka client."""
        return {
            "security_protocol": self.protocol,
            "ssl_context": self.ssl_context(),
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
        }
