"""Who is who in a chain: event ids, correlation and causation, worked out from the integers alone.

An id is made of the event's time, the chain's key and the step, so an event can name its cause without having seen
its text.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eventbus.chains.randomness import Words, draw, purpose
from eventbus.chains.table import EventTable
from eventbus.chains.writing.text import Rows, uuid7

ID_PURPOSE = purpose("id")


class Identifiers(NamedTuple):
    """UUIDs of events, as text."""

    event: Rows
    correlation: Rows
    """The root's id."""
    causation: Rows
    """The causing event's id; on a root, without meaning."""


def identifiers(events: EventTable, keys: Words) -> Identifiers:
    """The ids of events.

    Args:
        keys: the random key of each event's chain.
    """
    own = uuid7(events.time, draw(keys, ID_PURPOSE, events.step))
    correlation = own.copy()
    effects = np.flatnonzero(events.step)
    correlation[effects] = uuid7(events.began.take(effects), draw(keys.take(effects), ID_PURPOSE))
    causation = correlation.copy()
    later = np.flatnonzero(events.cause)  # the cause is not the root
    caused = (events.time - events.delay).take(later)
    causation[later] = uuid7(caused, draw(keys.take(later), ID_PURPOSE, events.cause.take(later)))
    return Identifiers(own, correlation, causation)
