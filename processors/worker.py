"""The application for `faust -A eventbus.processors.worker worker`, configured by the environment."""

from __future__ import annotations

import ssl

from faust.types.auth import CredentialsT

from eventbus.catalog import Catalog
from eventbus.processors.faust_app.app import EventApp
from eventbus.processors.faust_app.kafka_transport import credentials
from eventbus.processors.postgres import database
from eventbus.processors.processor import Processor
from eventbus.settings import DEFAULT_BROKERS, Settings, comma_separated


def app_from_environment() -> EventApp:
    """The application that the variables of `Settings` describe."""
    settings = Settings()
    server = database(settings.data_dir, database_url=settings.database_url)
    processor = Processor(
        server.dsn,
        catalog=Catalog.load(*comma_separated(settings.catalog)),
        bootstrap_servers=settings.kafka_brokers or DEFAULT_BROKERS,
        topics=comma_separated(settings.topics) or None,
        group=settings.group,
        pipelines=settings.pipelines,
        auto_offset_reset=settings.start,
        broker_credentials=_credentials(settings),
    )
    processor.app.server = server
    return processor.app


def _credentials(settings: Settings) -> CredentialsT | None:
    uses_tls = settings.security_protocol.endswith("SSL")
    return credentials(
        settings.sasl_username,
        settings.sasl_password,
        mechanism=settings.sasl_mechanism,
        tls=ssl.create_default_context(cafile=settings.ssl_cafile) if uses_tls else None,
    )


def __getattr__(name: str) -> EventApp:
    """Create `app` when it is first used, so that importing this module does not read the environment."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    app = globals()["app"] = app_from_environment()
    return app
