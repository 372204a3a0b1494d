"""Settings from the environment and `.env`; a command's options win over them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The variables that a deployment sets. Everything of our own is under `EVENTBUS_`."""

    model_config = SettingsConfigDict(env_prefix="EVENTBUS_", env_file=".env", extra="ignore")

    app_env: Literal["development", "test", "production"] = Field(
        "development", validation_alias=AliasChoices("APP_ENV", "app_env")
    )
    kafka_brokers: str | None = Field(None, validation_alias=AliasChoices("KAFKA_BROKERS", "kafka_brokers"))
    database_url: str | None = Field(None, validation_alias=AliasChoices("DATABASE_URL", "database_url"))
    enable_mock_events: bool = Field(True, validation_alias=AliasChoices("ENABLE_MOCK_EVENTS", "enable_mock_events"))
    """False turns the generator off."""

    host: str = "127.0.0.1"
    port: int = Field(3000, ge=0, le=65535)
    data_dir: Path | None = None
    process: bool = True
    """False leaves the processing to other processes (`eventbus process`)."""


def settings_problems(error: ValidationError) -> str:
    """The mistakes in the environment, one a line, each with its variable."""
    return "\n".join(f"{_variable(str(e['loc'][0]))}: {e['msg']}, got {e['input']!r}" for e in error.errors())


def _variable(name: str) -> str:
    return f"EVENTBUS_{name.upper()}" if name in Settings.model_fields else name
