"""Fixtures and settings for every test."""

import signal

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.postgres", "tests.kafka.fixtures"]

# No deadline: how long an example takes says more about the machine than about the code.
settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

# A shell without job control starts background jobs with SIGINT ignored, which every program that a test starts would
# inherit: no Ctrl-C that a test sends would reach it.
signal.signal(signal.SIGINT, signal.default_int_handler)
