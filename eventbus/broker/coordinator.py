"""Group membership of in-process consumers: notifies members of rebalances and evicts expired ones.

The states of a group and its assignments are in `groups`; how a consumer rejoins, in `eventbus.inprocess.consumer`.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Protocol

from eventbus.broker.broker import Broker
from eventbus.broker.groups import ConsumerGroup
from eventbus.broker.watchers import Watchers
from eventbus.clock import Clock

OFFSETS_COMMITTED = "offsets committed"
"""Key of the watchers, notified when a group has committed or changed; no topic can have this name."""


class Member(Protocol):
    """A consumer as the coordinator sees it."""

    def rejoin(self, group: ConsumerGroup) -> None:
        """Rejoin a group that rebalances, if no records are in flight."""

    def heartbeat(self, group: ConsumerGroup, now: int) -> None:
        """Renew the session while waiting for records."""

    def reset_positions(self) -> None:
        """Drop all positions."""

    def close_nowait(self) -> None: ...


@dataclass(slots=True)
class GroupCoordinator:
    """Broker, clock, watchers and live consumers of one bus; it holds the consumers by weak references."""

    broker: Broker
    clock: Clock
    watchers: Watchers = field(default_factory=Watchers)
    consumers: weakref.WeakSet[Member] = field(default_factory=weakref.WeakSet)
    member_count: int = 0
    """Consumers created so far."""

    def new_member_id(self, group: str | None) -> str:
        self.member_count += 1
        return f"{group or 'reader'}-{self.member_count}"

    def on_rebalance(self, group: ConsumerGroup) -> None:
        """Let the idle members rejoin at once, and wake all tasks that wait for the group."""
        for consumer in list(self.consumers):
            consumer.rejoin(group)
        self.watchers.notify(group.name)
        self.watchers.notify(OFFSETS_COMMITTED)

    def evict_expired(self, group: ConsumerGroup) -> None:
        """Evict members whose session timed out; waiting for records keeps a session alive."""
        now = self.clock.now_ms()
        for consumer in self.consumers:
            consumer.heartbeat(group, now)
        if group.evict_expired(now):
            self.on_rebalance(group)

    def leave(self, group: ConsumerGroup, member_id: str) -> None:
        """Remove a member that was closed or garbage-collected."""
        group.leave(member_id, self.clock.now_ms())
        self.on_rebalance(group)
