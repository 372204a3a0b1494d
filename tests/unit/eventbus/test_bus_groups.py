"""Invariants of consumer groups, over random histories of members that join, leave, expire and commit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventbus import IllegalGeneration, TopicPartition, UnknownMember
from eventbus.broker.groups import PREVIOUS_STATES, ConsumerGroup, GroupState, range_assignment

PARTITIONS = {"a": 4, "b": 3, "c": 1}
SESSION_MS = 100
REBALANCE_MS = 30

names = st.sampled_from(["m1", "m2", "m3", "m4"])
topic_sets = st.frozensets(st.sampled_from(sorted(PARTITIONS)), min_size=1)


def new_group() -> ConsumerGroup:
    return ConsumerGroup("g", PARTITIONS.__getitem__, session_timeout_ms=SESSION_MS, rebalance_timeout_ms=REBALANCE_MS)


class GroupMachine(RuleBasedStateMachine):
    """Members act in any order; the invariants hold after each step."""

    @initialize()
    def start(self) -> None:
        self.group = new_group()
        self.now = 1000
        self.generation = 0
        self.last_heartbeat: dict[str, int] = {}
        self.held: dict[str, int] = {}
        """The generation in which each member took its partitions."""

    @rule(name=names, topics=topic_sets)
    def join(self, name: str, topics: frozenset[str]) -> None:
        self.group.join(name, topics, self.now)
        self.last_heartbeat[name] = self.now
        self.held.pop(name, None)

    @rule()
    def all_join_again(self) -> None:
        for name, member in list(self.group.members.items()):
            if not member.joined:
                self.join(name, member.topics)
        assert self.group.state is not GroupState.PREPARING_REBALANCE

    @rule(name=names)
    def take_partitions(self, name: str) -> None:
        if self.group.state is GroupState.STABLE and name in self.group.members:
            self.held[name] = self.group.generation

    @rule(name=names)
    def leave(self, name: str) -> None:
        self.group.leave(name, self.now)
        self.held.pop(name, None)
        assert name not in self.group.members

    @rule(name=names)
    def heartbeat(self, name: str) -> None:
        if name in self.group.members:
            self.group.heartbeat(name, self.now)
            self.last_heartbeat[name] = self.now
        else:
            with pytest.raises(UnknownMember):
                self.group.heartbeat(name, self.now)

    @rule(ms=st.integers(0, 60))
    def time_passes(self, ms: int) -> None:
        self.now += ms
        waited_for = {
            name
            for name, member in self.group.members.items()
            if self.group.state is GroupState.PREPARING_REBALANCE
            and not member.joined
            and self.now >= self.group.rebalance_deadline
        }
        silent = {name for name in self.group.members if self.now - self.last_heartbeat[name] > SESSION_MS}
        assert set(self.group.evict_expired(self.now)) == waited_for | silent

    @precondition(lambda self: self.group.members)
    @rule(data=st.data(), offset=st.integers(0, 9))
    def commit(self, data: st.DataObject, offset: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.group.members)))
        generation = data.draw(st.integers(0, self.group.generation))
        before = dict(self.group.committed)
        offsets = {TopicPartition("a", 0): offset, TopicPartition("b", 2): offset}
        if generation == self.group.generation:
            self.group.commit(offsets, member_id=name, generation=generation)
            assert self.group.committed == before | offsets
        else:
            with pytest.raises(IllegalGeneration):
                self.group.commit(offsets, member_id=name, generation=generation)
            assert self.group.committed == before

    @rule(name=names)
    def commit_as_stranger(self, name: str) -> None:
        before = dict(self.group.committed)
        if name not in self.group.members:
            with pytest.raises(UnknownMember):
                self.group.commit({TopicPartition("a", 1): 5}, member_id=name, generation=self.group.generation)
            assert self.group.committed == before

    @rule()
    def commit_as_tool(self) -> None:
        if self.group.members:
            with pytest.raises(UnknownMember):
                self.group.commit({TopicPartition("c", 0): 1})
        else:
            self.group.commit({TopicPartition("c", 0): 1})
            assert self.group.committed[TopicPartition("c", 0)] == 1

    @invariant()
    def generation_only_grows(self) -> None:
        assert self.group.generation >= self.generation
        self.generation = self.group.generation

    @invariant()
    def state_fits_members(self) -> None:
        assert (self.group.state is GroupState.EMPTY) == (not self.group.members)

    @invariant()
    def every_partition_has_one_owner(self) -> None:
        if self.group.state is GroupState.STABLE:
            owned = [p for member in self.group.members.values() for p in member.assignment]
            wanted = {TopicPartition(topic, p) for topic in self.group.topics() for p in range(PARTITIONS[topic])}
            assert len(owned) == len(set(owned))
            assert set(owned) == wanted
            for member in self.group.members.values():
                assert {p.topic for p in member.assignment} <= member.topics

    @invariant()
    def those_of_one_generation_do_not_overlap(self) -> None:
        """Members of the current generation hold different partitions, also while others join."""
        current = [name for name, generation in self.held.items() if generation == self.group.generation]
        owned = [p for name in current if name in self.group.members for p in self.group.assignment(name)]
        assert len(owned) == len(set(owned))


TestGroupMachine = GroupMachine.TestCase
TestGroupMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def test_a_group_is_stable_only_after_a_rebalance() -> None:
    """A group without members has none to assign partitions to, and a stable one has assigned them."""
    assert set(PREVIOUS_STATES) == set(GroupState)
    assert PREVIOUS_STATES[GroupState.STABLE] == {GroupState.PREPARING_REBALANCE}
    assert GroupState.EMPTY not in PREVIOUS_STATES[GroupState.EMPTY]
    group = new_group()
    with pytest.raises(AssertionError, match="from EMPTY to STABLE"):
        group._transition(GroupState.STABLE)


def test_a_rebalance_waits_for_every_member() -> None:
    """A partition is assigned again only after its owner has joined again, and the new member gets its share."""
    group = new_group()
    group.join("m1", {"a"}, 0)
    assert (group.generation, len(group.assignment("m1"))) == (1, 4)
    group.join("m2", {"a"}, 1)
    assert (group.generation, len(group.assignment("m2"))) == (1, 0)
    assert group.state is GroupState.PREPARING_REBALANCE
    group.join("m1", {"a"}, 2)
    assert group.generation == 2
    assert {len(group.assignment(name)) for name in ("m1", "m2")} == {2}


def test_a_member_may_commit_until_it_has_joined_again() -> None:
    """While a rebalance waits for its members, the generation stands, so that records in flight can be committed."""
    group = new_group()
    group.join("m1", {"c"}, 0)
    group.join("m2", {"c"}, 1)
    group.commit({TopicPartition("c", 0): 7}, member_id="m1", generation=1)
    group.join("m1", {"c"}, 2)
    with pytest.raises(IllegalGeneration, match="generation 2, the commit at 1"):
        group.commit({TopicPartition("c", 0): 9}, member_id="m1", generation=1)
    assert group.committed == {TopicPartition("c", 0): 7}


def test_deleting_offsets_fences_late_commits() -> None:
    """Offsets of a topic that was emptied do not come back by a commit of what was read before."""
    group = new_group()
    group.join("m1", {"a", "c"}, 0)
    group.commit({TopicPartition("a", 0): 3, TopicPartition("c", 0): 4}, member_id="m1", generation=1)
    group.delete_offsets("a", 1)
    assert group.committed == {TopicPartition("c", 0): 4}
    with pytest.raises(IllegalGeneration):
        group.commit({TopicPartition("a", 0): 3}, member_id="m1", generation=1)


@given(st.dictionaries(st.text(min_size=1), topic_sets, min_size=1))
def test_range_assignment_is_even_and_in_runs(members: dict[str, frozenset[str]]) -> None:
    """Shares of a topic differ by one at most, the first members have the larger ones, and each is one run."""
    shares = range_assignment(members, PARTITIONS.__getitem__)
    for topic, count in PARTITIONS.items():
        readers = sorted(name for name, topics in members.items() if topic in topics)
        runs = [sorted(p.partition for p in shares[name] if p.topic == topic) for name in readers]
        if readers:
            assert [partition for run in runs for partition in run] == list(range(count))
            sizes = list(map(len, runs))
            assert sizes == sorted(sizes, reverse=True)
            assert sizes[0] - sizes[-1] <= 1


def test_the_state_can_be_seen() -> None:
    """`repr` shows state, generation and members."""
    group = new_group()
    group.join("m1", {"a"}, 0)
    assert repr(group) == "<ConsumerGroup g STABLE generation=1 members=1>"
