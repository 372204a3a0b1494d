"""When is a worker that runs, but gets nothing done, better replaced?"""

from __future__ import annotations


class Watchdog:
    """Notices that nothing moves although there is work.

    Args:
        timeout: seconds without progress, while there is a lag, that are too many.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._position = -1
        self._since = 0.0

    def idle(self, position: int, lag: int, now: float) -> float:
        """Seconds since the last progress; a worker with no lag has nothing to do, and so makes progress.

        Args:
            position: grows with every event processed.
            lag: events waiting.
            now: seconds, of any clock that does not go back.
        """
        if lag == 0 or position != self._position:
            self._position, self._since = position, now
        return now - self._since
