"""Whole numbers in seven bits a byte, the lowest first, as Avro and Protocol Buffers have them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eventbus.chains.randomness import Integers, Words
from eventbus.chains.writing.text import Rows

LONGEST = 10
"""Bytes of 64 bits."""
MASK = (1 << 64) - 1


def varint(number: int) -> bytes:
    """A number of at most 64 bits; a negative one as its two's complement."""
    number &= MASK
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def zigzag(number: int) -> int:
    """0, -1, 1, -2, … as 0, 1, 2, 3, …: small numbers of either sign are short."""
    return (number << 1) ^ (number >> 63)


def varints(numbers: Words) -> tuple[Rows, Integers]:
    """The texts of many numbers as rows of one width, and how long each is."""
    lengths = np.ones(numbers.size, np.int64)
    for more in range(7, 64, 7):
        lengths += numbers >= np.uint64(1 << more)
    width = int(lengths.max(initial=1))
    digits = _digits(numbers, width)
    digits |= np.where(np.arange(1, width + 1) < lengths[:, np.newaxis], 0x80, 0).astype(np.uint8)
    return digits.view(f"V{width}").reshape(-1), lengths


def padded(numbers: Integers, width: int) -> Rows:
    """Numbers of at least 0 in one width, with digits of 0 at the end where needed: every decoder takes them."""
    digits = _digits(numbers.view(np.uint64), width)
    digits[:, :-1] |= 0x80
    return digits.view(f"V{width}").reshape(-1)


def _digits(numbers: Words, width: int) -> npt.NDArray[np.uint8]:
    """Seven bits in each, shape (numbers, width)."""
    digits = np.empty((numbers.size, width), np.uint8)
    for place in range(width):
        digits[:, place] = (numbers >> np.uint64(7 * place)) & np.uint64(0x7F)
    return digits
