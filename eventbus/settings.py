"""Settings from the environment and from a `.env` file, for the commands and for the Faust worker."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from eventbus.bus import AutoOffsetReset

DEFAULT_BROKERS = "127.0.0.1:9092"
"""Kafka brokers where neither the environment nor an option names any."""


class Settings(BaseSettings):
    """The variables that a deployment sets: `EVENTBUS_` and the field's name, except for the aliases below.

    A command's options take precedence over them. `faust -A eventbus.processors.worker worker` has no options
    of ours and reads everything from here.
    """

    model_config = SettingsConfigDict(env_prefix="EVENTBUS_", env_file=".env", extra="ignore")

    app_env: Literal["development", "test", "production"] = Field(
        "development", validation_alias=AliasChoices("APP_ENV", "app_env")
    )
    kafka_brokers: str | None = Field(None, validation_alias=AliasChoices("KAFKA_BROKERS", "kafka_brokers"))
    """`host:port`, several separated by commas."""
    database_url: str | None = Field(None, validation_alias=AliasChoices("DATABASE_URL", "database_url"))
    """A PostgreSQL server; without it, the embedded one in `data_dir`."""
    enable_mock_events: bool = Field(True, validation_alias=AliasChoices("ENABLE_MOCK_EVENTS", "enable_mock_events"))
    """Whether `mock` and `serve` generate events."""

    host: str = "127.0.0.1"
    """Address of the HTTP server."""
    port: int = Field(3000, ge=0, le=65535)
    data_dir: Path | None = None
    """Folder of the embedded PostgreSQL."""
    process: bool = True
    """Whether `serve` stores events itself; false leaves that to `eventbus process`."""

    catalog: str = ""
    """Catalog files or folders on top of the shipped catalog, separated by commas: for `process` and the worker."""
    topics: str = ""
    """Topics that the worker reads, separated by commas; by default those of the catalog's domains."""
    group: str = "eventbus"
    """Consumer group of the worker."""
    start: AutoOffsetReset = "earliest"
    """Where the worker begins in a partition without a committed offset."""
    pipelines: int = Field(1, ge=1, le=64)
    """Database connections that the worker writes through."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = Field(None, repr=False)
    ssl_cafile: Path | None = None
    """Certificates to trust, PEM; by default those of the system."""


def settings_problems(error: ValidationError) -> str:
    """The mistakes in the environment, one a line, each with its variable."""
    return "\n".join(f"{_variable(str(e['loc'][0]))}: {e['msg']}, got {e['input']!r}" for e in error.errors())


def comma_separated(text: str) -> list[str]:
    """The parts of a text between commas, without blanks; empty parts are left out."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _variable(name: str) -> str:
    return f"EVENTBUS_{name.upper()}" if name in Settings.model_fields else name
