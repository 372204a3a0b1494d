"""Fixtures and settings for every test."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.postgres", "tests.kafka.fixtures"]

# No deadline: how long an example takes says more about the machine than about the code.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
