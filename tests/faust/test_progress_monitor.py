"""When a worker counts as stalled."""

from __future__ import annotations

from eventbus.processors.faust_app.app import ProgressMonitor


def test_moving_is_progress() -> None:
    """A worker whose position grows is not idle, however large its lag."""
    watchdog = ProgressMonitor(60)
    assert [watchdog.idle(position, 1_000, now) for position, now in ((1, 0.0), (2, 50.0), (3, 100.0))] == [0, 0, 0]


def test_nothing_to_do_is_progress() -> None:
    """Without a lag, standing still is all that can be done."""
    watchdog = ProgressMonitor(60)
    assert [watchdog.idle(5, 0, now) for now in (0.0, 500.0, 1_000.0)] == [0, 0, 0]


def test_standing_still_with_work_is_idle() -> None:
    """Idle time counts from the last progress, and ends with the next."""
    watchdog = ProgressMonitor(60)
    watchdog.idle(5, 10, 100.0)
    assert watchdog.idle(5, 10, 130.0) == 30
    assert watchdog.idle(5, 20, 161.0) == 61
    assert watchdog.idle(6, 20, 162.0) == 0


def test_work_that_comes_late_does_not_find_a_late_worker() -> None:
    """Idle time begins when there is something to do, not when there was nothing."""
    watchdog = ProgressMonitor(60)
    watchdog.idle(5, 0, 0.0)
    watchdog.idle(5, 0, 1_000.0)
    assert watchdog.idle(5, 1, 1_001.0) == 1
