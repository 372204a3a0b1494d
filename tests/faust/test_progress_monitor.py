"""The idle time that decides whether a worker is stalled."""

from __future__ import annotations

from eventbus.processors.faust_app.app import ProgressMonitor


def test_moving_is_progress() -> None:
    """A worker whose position changes is not idle, however large its lag."""
    monitor = ProgressMonitor(60)
    assert [monitor.idle(position, 1_000, now) for position, now in ((1, 0.0), (2, 50.0), (3, 100.0))] == [0, 0, 0]


def test_no_lag_is_progress() -> None:
    """A worker without lag is not idle."""
    monitor = ProgressMonitor(60)
    assert [monitor.idle(5, 0, now) for now in (0.0, 500.0, 1_000.0)] == [0, 0, 0]


def test_lag_without_progress_is_idle() -> None:
    """Idle time counts from the last progress until the next."""
    monitor = ProgressMonitor(60)
    monitor.idle(5, 10, 100.0)
    assert monitor.idle(5, 10, 130.0) == 30
    assert monitor.idle(5, 20, 161.0) == 61
    assert monitor.idle(6, 20, 162.0) == 0


def test_idle_time_starts_with_the_lag() -> None:
    """Time without lag does not count as idle."""
    monitor = ProgressMonitor(60)
    monitor.idle(5, 0, 0.0)
    monitor.idle(5, 0, 1_000.0)
    assert monitor.idle(5, 1, 1_001.0) == 1
