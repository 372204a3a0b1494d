"""The partition of a key, as Kafka's default partitioner computes it.

Source: `org.apache.kafka.common.utils.Utils.murmur2` (MurmurHash2, 32 bits, seed 0x9747b28c) and
`BuiltInPartitioner.partitionForKey`. Keys are hashed one by one, or a batch of equally long keys at once with NumPy,
which costs a twentieth as much; NumPy is imported for the first such batch.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SEED = 0x9747B28C
M = 0x5BD1E995
MASK = 0xFFFFFFFF
POSITIVE = 0x7FFFFFFF

VECTOR_MIN = 64
"""Batches of fewer keys are hashed one by one: for them, the arrays cost more than they save."""

CACHED_KEY_MAX = 64
"""Hashes of longer keys are not cached, so that the cache stays under a megabyte."""


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a key: `toPositive(murmur2(key)) % partitions`."""
    h = _recent(key) if len(key) <= CACHED_KEY_MAX else murmur2(key)
    return (h & POSITIVE) % partitions


def partitions_for(keys: Sequence[bytes], partitions: int) -> list[int]:
    """The partition of each key."""
    if _are_vectorisable(keys):
        numbers: list[int] = _vector_partitions(keys, partitions).tolist()
        return numbers
    return [partition_for(key, partitions) for key in keys]


def positions_by_partition(keys: Sequence[bytes], partitions: int) -> dict[int, list[int]]:
    """The keys of each partition that has any, as their positions, ascending."""
    if not _are_vectorisable(keys):
        return positions_of([partition_for(key, partitions) for key in keys])
    order, begins = order_by_partition(keys, partitions)
    positions = (order[begin:end].tolist() for begin, end in pairwise(begins))
    return {partition: rows for partition, rows in enumerate(positions) if rows}


def order_by_partition(keys: Sequence[bytes], partitions: int) -> tuple[npt.NDArray[np.int64], list[int]]:
    """The positions of keys of one length, ordered by partition, and where each partition begins, then their number."""
    numbers = _vector_partitions(keys, partitions)
    order = numbers.argsort(kind="stable")
    return order, numbers.take(order).searchsorted(range(partitions + 1)).tolist()


def positions_of(labels: Sequence[int]) -> dict[int, list[int]]:
    """The positions of each label, ascending."""
    positions: defaultdict[int, list[int]] = defaultdict(list)
    for position, label in enumerate(labels):
        positions[label].append(position)
    return positions


def _are_vectorisable(keys: Sequence[bytes]) -> bool:
    return len(keys) >= VECTOR_MIN and len(set(map(len, keys))) == 1 and len(keys[0]) > 0


def murmur2(data: bytes) -> int:
    """MurmurHash2 as an unsigned 32-bit number."""
    length = len(data)
    words = length >> 2
    h = SEED ^ length
    for word in struct.unpack_from(f"<{words}I", data):
        k = word * M & MASK
        h = (h * M ^ (k ^ k >> 24) * M) & MASK
    if tail := data[words << 2 :]:
        h = (h ^ int.from_bytes(tail, "little")) * M & MASK
    h = (h ^ h >> 13) * M & MASK
    return h ^ h >> 15


_recent = lru_cache(maxsize=4096)(murmur2)  # all events of a chain share one key


def _vector_partitions(keys: Sequence[bytes], partitions: int) -> npt.NDArray[np.uint32]:
    """`partition_for` of many keys of one length; 32-bit arrays wrap around as the hash requires."""
    import numpy as np  # noqa: PLC0415 - takes 100 ms, and small buses never need it

    length = len(keys[0])
    words = length >> 2
    octets = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), length)
    m = np.uint32(M)
    h = np.full(len(keys), SEED ^ length, dtype=np.uint32)
    columns = np.ascontiguousarray(octets[:, : words << 2]).view("<u4") * m
    columns ^= columns >> 24
    columns *= m
    for k in columns.T:
        h *= m
        h ^= k
    if length & 3:
        for i in range(length & 3):
            h ^= octets[:, (words << 2) + i].astype(np.uint32) << np.uint32(8 * i)
        h *= m
    h ^= h >> 13
    h *= m
    h ^= h >> 15
    h &= np.uint32(POSITIVE)
    h %= np.uint32(partitions)
    return h
