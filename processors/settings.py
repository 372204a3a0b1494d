"""What the environment says to `faust -A eventbus.processors.faust_app.app worker`, which takes no options of ours."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal

from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT
from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from eventbus.bus import AutoOffsetReset


class Settings(BaseSettings):
    """Read from the environment and `.env`. Everything of our own is under `EVENTBUS_`."""

    model_config = SettingsConfigDict(env_prefix="EVENTBUS_", env_file=".env", extra="ignore")

    kafka_brokers: str = Field("127.0.0.1:9092", validation_alias=AliasChoices("KAFKA_BROKERS", "kafka_brokers"))
    """`host:port`, several separated by commas."""
    database_url: str | None = Field(None, validation_alias=AliasChoices("DATABASE_URL", "database_url"))
    """Without it, the embedded PostgreSQL in `data_dir`."""
    data_dir: Path | None = None
    catalog: str = ""
    """Files or folders on top of the shipped catalog, separated by commas."""
    topics: str = ""
    """Separated by commas; by default those of the catalog's domains."""
    group: str = "eventbus"
    start: AutoOffsetReset = "earliest"
    pipelines: int = Field(1, ge=1, le=64)
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = Field(None, repr=False)
    ssl_cafile: Path | None = None
    """Certificates to trust, PEM; by default those of the system."""

    def credentials(self) -> CredentialsT | None:
        """How Faust logs in."""
        tls = ssl.create_default_context(cafile=self.ssl_cafile) if self.security_protocol.endswith("SSL") else None
        return credentials(self.sasl_username, self.sasl_password, mechanism=self.sasl_mechanism, tls=tls)


def credentials(
    username: str | None, password: str | None, *, mechanism: str = "PLAIN", tls: ssl.SSLContext | None = None
) -> CredentialsT | None:
    """Faust's form of a Kafka login: with a user name SASL, without one TLS, without either none."""
    if username:
        return SASLCredentials(username=username, password=password, mechanism=mechanism, ssl_context=tls)
    return SSLCredentials(tls) if tls else None


def listed(text: str) -> list[str]:
    """The parts of a text between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]
