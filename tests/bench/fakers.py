"""What one event costs when its values are drawn one by one, as generators of fake data do it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import orjson
from faker import Faker
from mimesis import Datetime, Generic, Locale

EVENT_TYPE = "omninode.agent.execution.failed.v1"
CLASSES = ("TimeoutError", "RateLimitError", "ConnectionError")


def with_faker(count: int) -> Callable[[], int]:
    """Events of one type, encoded: nine values drawn for each; no chains, no order."""
    fake = Faker()
    fake.seed_instance(7)

    def work() -> int:
        for _ in range(count):
            payload = {
                "agent": fake.user_name(),
                "task": fake.sentence(),
                "status": "failure",
                "error_class": fake.random_element(CLASSES),
                "error_message": fake.sentence(),
                "retryable": fake.pybool(),
                "duration_ms": fake.random_int(500, 1500),
            }
            when = fake.date_time_this_year(tzinfo=UTC)
            orjson.dumps(_event(fake.uuid4(), fake.uuid4(), fake.uuid4(), when, payload))
        return count

    return work


def with_mimesis(count: int) -> Callable[[], int]:
    """The same with Mimesis."""
    generic, moment = Generic(Locale.EN, seed=7), Datetime(seed=7)
    text, person, numeric = generic.text, generic.person, generic.numeric

    def work() -> int:
        for _ in range(count):
            payload = {
                "agent": person.username(),
                "task": text.sentence(),
                "status": "failure",
                "error_class": generic.choice(CLASSES),
                "error_message": text.sentence(),
                "retryable": generic.development.boolean(),
                "duration_ms": numeric.integer_number(500, 1500),
            }
            when = moment.datetime(2026, 2026, timezone="UTC")
            own, correlation, cause = (generic.cryptographic.uuid() for _ in range(3))
            orjson.dumps(_event(own, correlation, cause, when, payload))
        return count

    return work


def _event(own: str, correlation: str, cause: str, when: datetime, payload: dict[str, object]) -> dict[str, object]:
    return {
        "event_id": own,
        "event_type": EVENT_TYPE,
        "timestamp": when,
        "correlation_id": correlation,
        "causation_id": cause,
        "tenant_id": "default-tenant",
        "namespace": "development",
        "source": "agent-executor",
        "schema_version": "1.0.0",
        "payload": payload,
    }
