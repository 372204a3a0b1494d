"""Keys go to the same partitions as with Kafka's own client."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from eventbus.broker.partitioner import CACHED_KEY_MAX, VECTOR_MIN, murmur2, partition_for, partitions_for

UTILS_TEST = {  # org.apache.kafka.common.utils.UtilsTest, testMurmur2
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "hashed"), UTILS_TEST.items())
def test_murmur2_of_the_kafka_project(key: bytes, hashed: int) -> None:
    """The values of Kafka's own test, which are signed."""
    assert murmur2(key) == hashed & 0xFFFFFFFF


@given(st.binary(max_size=300))
def test_murmur2_as_in_aiokafka(key: bytes) -> None:
    """Any key of any length hashes as in an independent implementation."""
    assert murmur2(key) == aiokafka_murmur2(key)


@given(st.binary(max_size=2 * CACHED_KEY_MAX), st.integers(1, 1000))
def test_the_sign_is_dropped_before_the_remainder(key: bytes, partitions: int) -> None:
    """`toPositive` clears the highest bit; it does not negate."""
    assert partition_for(key, partitions) == (aiokafka_murmur2(key) & 0x7FFFFFFF) % partitions


@given(st.data(), st.integers(0, 80), st.integers(1, 100))
def test_many_keys_at_once_as_single_keys(data: st.DataObject, length: int, partitions: int) -> None:
    """The arrays give the same as single keys, whatever their common length."""
    keys = data.draw(
        st.lists(st.binary(min_size=length, max_size=length), min_size=VECTOR_MIN, max_size=VECTOR_MIN + 20)
    )
    assert partitions_for(keys, partitions) == [partition_for(key, partitions) for key in keys]


@given(st.lists(st.binary(max_size=40), max_size=VECTOR_MIN + 20))
def test_keys_of_mixed_lengths(keys: list[bytes]) -> None:
    """Keys of different lengths, few or many, are hashed as well."""
    assert partitions_for(keys, 7) == [partition_for(key, 7) for key in keys]
