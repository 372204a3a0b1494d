"""The cost of imports, and the public names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import eventbus

HEAVY = {"asyncio", "aiokafka", "numpy", "kio", "pydantic", "faust", "asyncpg", "yaml", "secrets"}


def loaded_by(statement: str) -> set[str]:
    """The heavy modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import eventbus", set()),
        ("from eventbus import Event", set()),
        ("from eventbus import durations; durations.parse_moment('1h30m')", set()),
        ("import eventbus.processors", set()),
        ("from eventbus.processors import database", set()),
        ("import eventbus.pytest_plugin", {"asyncio"}),  # by pytest itself, in some versions
        ("from eventbus.broker import Broker; Broker()", set()),
        ("from eventbus import InProcessBus; InProcessBus()", {"asyncio"}),
    ],
)
def test_imports_stay_cheap(statement: str, allowed: set[str]) -> None:
    """Heavy modules are imported at first use."""
    assert loaded_by(statement) <= allowed


def test_every_public_name_is_there() -> None:
    """Every name of `__all__` can be imported, and the list is sorted."""
    assert list(eventbus.__all__) == sorted(eventbus.__all__)
    for name in eventbus.__all__:
        assert getattr(eventbus, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    """Lazy names do not hide mistakes."""
    with pytest.raises(AttributeError, match="module 'eventbus' has no attribute 'Nothing'"):
        _ = eventbus.Nothing


def test_every_error_is_an_event_bus_error() -> None:
    """Every public error is an `EventBusError`, whose default message is its docstring."""
    names = [getattr(eventbus, name) for name in eventbus.__all__]
    errors = [thing for thing in names if isinstance(thing, type) and issubclass(thing, Exception)]
    assert len(errors) > 10
    for error in errors:
        assert issubclass(error, eventbus.EventBusError)
        if error.__init__ is eventbus.EventBusError.__init__:
            assert str(error()) == error.__doc__


def test_the_packages_are_importable_from_it() -> None:
    """`from eventbus import catalog` and the others work beside the lazy names."""
    code = "from eventbus import catalog, chains, processors; print(catalog.Catalog, chains.ChainGenerator, processors)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert "eventbus.processors" in done.stdout
