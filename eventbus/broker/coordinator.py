"""What the consumers of one in-process bus share: through it they learn of each other's coming and going."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Protocol

from eventbus.broker.broker import Broker
from eventbus.broker.groups import ConsumerGroup
from eventbus.broker.watchers import Notices
from eventbus.clock import Clock

COMMITTED = "committed"
"""Notice given when some group has moved on."""


class Reader(Protocol):
    """A consumer, as far as the others concern it."""

    def rejoin_when_idle(self, group: ConsumerGroup) -> None: ...
    def show_life(self, group: ConsumerGroup, now: int) -> None: ...
    def start_over(self) -> None: ...
    def close_nowait(self) -> None: ...


@dataclass(slots=True)
class Hub:
    """Broker, clock and notices of one bus, and the consumers that are alive (it keeps none of them so)."""

    broker: Broker
    clock: Clock
    notices: Notices = field(default_factory=Notices)
    consumers: weakref.WeakSet[Reader] = field(default_factory=weakref.WeakSet)
    names: int = 0

    def new_name(self, group: str | None) -> str:
        self.names += 1
        return f"{group or 'reader'}-{self.names}"

    def group_changed(self, group: ConsumerGroup) -> None:
        """Let the members that have nothing in hand take part in a rebalance at once, and wake all that wait."""
        for consumer in list(self.consumers):
            consumer.rejoin_when_idle(group)
        self.notices.call(group.name)
        self.notices.call(COMMITTED)

    def put_out_silent(self, group: ConsumerGroup) -> None:
        """Let the group expire members; those that wait for records are alive, however long nothing comes."""
        now = self.clock.now_ms()
        for consumer in self.consumers:
            consumer.show_life(group, now)
        if group.expire(now):
            self.group_changed(group)

    def left(self, group: ConsumerGroup, member_id: str) -> None:
        """A member is gone, closed or garbage-collected."""
        group.leave(member_id, self.clock.now_ms())
        self.group_changed(group)
