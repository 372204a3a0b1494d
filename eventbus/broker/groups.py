"""Consumer groups: members, rebalances, the assignment of each generation, and committed offsets.

Rebalances are Kafka's eager ones: when the membership changes, every member must revoke its partitions and `join`
again. Once all have, or those that have not are evicted, the generation is incremented and the partitions are assigned
anew. Time is an argument: `evict_expired(now)` evicts the members whose session timed out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from eventbus.errors import IllegalGeneration, UnknownMember
from eventbus.record import TopicPartition


class GroupState(Enum):
    """The states of a group, with Kafka's names."""

    EMPTY = auto()
    PREPARING_REBALANCE = auto()
    STABLE = auto()


PREVIOUS_STATES = {
    GroupState.EMPTY: {GroupState.PREPARING_REBALANCE, GroupState.STABLE},
    GroupState.PREPARING_REBALANCE: {GroupState.EMPTY, GroupState.PREPARING_REBALANCE, GroupState.STABLE},
    GroupState.STABLE: {GroupState.PREPARING_REBALANCE},
}
"""The states that may precede each state."""

Assignment = Mapping[str, frozenset[TopicPartition]]


@dataclass(slots=True)
class MemberMetadata:
    """What a group knows of a member."""

    topics: frozenset[str]
    last_heartbeat: int
    """Milliseconds since the Unix epoch."""
    joined: bool = False
    """Whether it has joined since the last rebalance began."""
    assignment: frozenset[TopicPartition] = frozenset()


class ConsumerGroup:
    """One group: its members, their partitions, and its committed offsets."""

    def __init__(
        self,
        name: str,
        partitions_of: Callable[[str], int],
        *,
        session_timeout_ms: int = 300_000,
        rebalance_timeout_ms: int = 3_000,
    ) -> None:
        """
        Args:
            partitions_of: the number of partitions of a topic.
            session_timeout_ms: a member without a heartbeat for longer is evicted.
            rebalance_timeout_ms: how long a rebalance waits for members to join again.
        """
        self.name = name
        self.state = GroupState.EMPTY
        self.generation = 0
        self.members: dict[str, MemberMetadata] = {}
        self.committed: dict[TopicPartition, int] = {}
        self.initial_offsets: dict[TopicPartition, int] = {}
        """Where reading started in partitions without a committed offset (the result of `auto.offset.reset`)."""
        self.lost = 0
        """Records trimmed before a member fetched them."""
        self.rebalance_deadline = 0
        """When the current rebalance stops waiting, in milliseconds since the Unix epoch."""
        self._partitions_of = partitions_of
        self._session_timeout_ms = session_timeout_ms
        self._rebalance_timeout_ms = rebalance_timeout_ms

    def __repr__(self) -> str:
        return f"<ConsumerGroup {self.name} {self.state.name} generation={self.generation} members={len(self.members)}>"

    def join(self, member_id: str, topics: Iterable[str], now: int) -> None:
        """Add a member, or let it join again in a rebalance, with all its partitions revoked."""
        subscribed = frozenset(topics)
        member = self.members.get(member_id)
        if member is None or member.topics != subscribed:
            self.rebalance(now)
            member = self.members[member_id] = MemberMetadata(subscribed, now)
        member.last_heartbeat = now
        member.joined = True
        self._complete()

    def leave(self, member_id: str, now: int) -> None:
        """Remove a member; an unknown one is ignored."""
        if self.members.pop(member_id, None) is None:
            return
        if self.members:
            self.rebalance(now)
            self._complete()
        else:
            self._transition(GroupState.EMPTY)

    def rebalance(self, now: int) -> None:
        """Require every member to join again."""
        if self.state is not GroupState.PREPARING_REBALANCE:
            self.rebalance_deadline = now + self._rebalance_timeout_ms
            for member in self.members.values():
                member.joined = False
        self._transition(GroupState.PREPARING_REBALANCE)

    def heartbeat(self, member_id: str, now: int) -> None:
        """Renew a member's session.

        Raises:
            UnknownMember: it was evicted or never joined; it has to join again.
        """
        self._member(member_id).last_heartbeat = now

    def evict_expired(self, now: int) -> list[str]:
        """Evict members whose session timed out or that missed the rebalance deadline; returns their ids."""
        expired = [name for name, member in self.members.items() if self._is_expired(member, now)]
        for name in expired:
            self.leave(name, now)
        return expired

    def assignment(self, member_id: str) -> frozenset[TopicPartition]:
        """The partitions of a member in this generation.

        Raises:
            UnknownMember: it was evicted or never joined.
        """
        return self._member(member_id).assignment

    def topics(self) -> frozenset[str]:
        """The topics its members are subscribed to."""
        return frozenset().union(*(member.topics for member in self.members.values()))

    def offset(self, partition: TopicPartition) -> int | None:
        """Where reading a partition continues: the committed offset, else the initial one, else None."""
        return self.committed.get(partition, self.initial_offsets.get(partition))

    def commit(
        self, offsets: Mapping[TopicPartition, int], *, member_id: str | None = None, generation: int | None = None
    ) -> None:
        """Commit offsets: all of them or, if an error is raised, none.

        Args:
            member_id: the member that commits; None for a tool, which may commit only while the group is empty.
            generation: the generation in which the member got its partitions.

        Raises:
            UnknownMember: not a member, or a tool while there are members.
            IllegalGeneration: the group has rebalanced since.
        """
        if member_id is None:
            if self.members:
                raise UnknownMember(f"group {self.name} has {len(self.members)} members: only they may commit")
        elif member_id not in self.members:
            raise UnknownMember(f"{member_id} is not a member of group {self.name}")
        elif generation != self.generation:
            raise IllegalGeneration(f"group {self.name} is at generation {self.generation}, the commit at {generation}")
        self.committed.update(offsets)

    def delete_offsets(self, topic: str, now: int) -> None:
        """Delete the offsets of a topic; the members that read it start over.

        The generation is incremented at once, which fences commits for the deleted records.
        """
        for offsets in (self.committed, self.initial_offsets):
            for partition in [partition for partition in offsets if partition.topic == topic]:
                del offsets[partition]
        if topic in self.topics():
            self.generation += 1
            self.rebalance(now)

    def _member(self, member_id: str) -> MemberMetadata:
        try:
            return self.members[member_id]
        except KeyError:
            raise UnknownMember(f"{member_id} is not a member of group {self.name}") from None

    def _is_expired(self, member: MemberMetadata, now: int) -> bool:
        if self.state is GroupState.PREPARING_REBALANCE and not member.joined and now >= self.rebalance_deadline:
            return True
        return now - member.last_heartbeat > self._session_timeout_ms

    def _complete(self) -> None:
        if self.state is GroupState.PREPARING_REBALANCE and all(member.joined for member in self.members.values()):
            self._transition(GroupState.STABLE)
            self.generation += 1
            topics = {name: member.topics for name, member in self.members.items()}
            for name, partitions in range_assignment(topics, self._partitions_of).items():
                self.members[name].assignment = partitions

    def _transition(self, state: GroupState) -> None:
        if self.state not in PREVIOUS_STATES[state]:
            raise AssertionError(f"group {self.name} cannot change from {self.state.name} to {state.name}")
        self.state = state


def range_assignment(members: Mapping[str, frozenset[str]], partitions_of: Callable[[str], int]) -> Assignment:
    """A contiguous range of each topic's partitions for each member, in the order of member ids (RangeAssignor)."""
    assigned: dict[str, list[TopicPartition]] = {name: [] for name in members}
    for topic in sorted(frozenset().union(*members.values())):
        readers = sorted(name for name, topics in members.items() if topic in topics)
        count, remainder = divmod(partitions_of(topic), len(readers))
        first = 0
        for index, name in enumerate(readers):
            stop = first + count + (index < remainder)
            assigned[name].extend(TopicPartition(topic, partition) for partition in range(first, stop))
            first = stop
    return {name: frozenset(partitions) for name, partitions in assigned.items()}
