"""What each kind of fault makes of events: the texts that come instead of them, and what the ledger says about them.

Texts are cut where the emitter is known to have put things, or at the names of the envelope's fields: no quote inside
a JSON string stands without a backslash, so these are found in the envelope only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import repeat
from typing import Literal, NamedTuple

import numpy as np
import orjson

from eventbus.chains.faults.payload_faults import changed_content, violated
from eventbus.chains.faults.victims import Changes, Victims
from eventbus.chains.randomness import Integers, purpose
from eventbus.chains.writing.text import TIMESTAMP_WIDTH, UUID_WIDTH, timestamps, uuid7

When = Literal["never", "instead", "again", "later", "behind"]
"""When a text comes: never, in the event's place, after it and at a later time, only then, or behind other events."""

HIGH_BITS = np.uint64(0x8080808080808080)
AFTER_TENANT = b'","namespace":"'


class Mutation(NamedTuple):
    """What a kind of fault does."""

    when: When
    change: Callable[[Victims], Changes]


def _unchanged(victims: Victims) -> Changes:
    return Changes(victims.lines, repeat(b""), victims.time)


def _tombstone(victims: Victims) -> Changes:
    return Changes([b"null\n"] * len(victims.lines), repeat(b""), victims.time)


def _poison(victims: Victims) -> Changes:
    """Begins with a byte that no UTF-8 text has; none of the others ends the line."""
    rest = (victims.word | HIGH_BITS).astype(">u8").view("V8").tolist()
    texts = [b"\xff%b\n" % eight for eight in rest]
    return Changes(texts, (b',"bytes":"%b"' % text[:-1].hex().encode() for text in texts), victims.time)


def _corrupt(victims: Victims) -> Changes:
    lines = zip(victims.lines, victims.word.tolist(), strict=True)
    texts = [_whole_characters(line[: 1 + word % (len(line) - 3)]) + b"\n" for line, word in lines]
    return Changes(texts, (b',"kept_bytes":%d' % (len(text) - 1) for text in texts), victims.time)


def _whole_characters(text: bytes) -> bytes:
    """A cut inside a character would be poison."""
    return text if text.isascii() else text.decode(errors="ignore").encode()


def _wrong_tenant(victims: Victims) -> Changes:
    texts = []
    for line, word in zip(victims.lines, victims.word.tolist(), strict=True):
        end = line.index(AFTER_TENANT)
        texts.append(b"%b-other-%d%b" % (line[:end], word % 100, line[end:]))
    return Changes(texts, map(_tenant, texts), victims.time)


def _tenant(text: bytes) -> bytes:
    begin = text.index(b',"tenant_id":"')
    return text[begin : text.index(AFTER_TENANT, begin) + 1]


def _orphan(victims: Victims) -> Changes:
    causes = uuid7(victims.time - victims.delay, victims.word).tolist()
    begins = [place.causation_at or 0 for place in victims.places]
    texts = _overwritten(victims.lines, begins, causes, UUID_WIDTH)
    return Changes(texts, (b',"causation_id":"%b"' % cause for cause in causes), victims.time)


def _before_cause(victims: Victims) -> Changes:
    return _timed(victims, victims.time - victims.delay - np.maximum(victims.amount, 1), repeat(b""))


def _skewed(victims: Victims) -> Changes:
    """The clock of a source is off by the same amount throughout a run."""
    offs = [_skew(victims.run, one.source, *victims.fault.span) for one in victims.types]
    details = (
        b',"source":%b,"skew_ms":%b' % (orjson.dumps(one.source), _ms(off))
        for one, off in zip(victims.types, offs, strict=True)
    )
    return _timed(victims, victims.time + np.array(offs), details)


@lru_cache
def _skew(run: int, source: str, low: int, high: int) -> int:
    word = purpose(f"{run}/fault/clock-skew/{source}")
    amount = low + (word >> 1) % (high - low + 1)
    return amount if word & 1 else -amount


def _timed(victims: Victims, times: Integers, details: Iterable[bytes]) -> Changes:
    stamps = timestamps(times).tolist()
    texts = _overwritten(victims.lines, [place.timestamp_at for place in victims.places], stamps, TIMESTAMP_WIDTH)
    shown = (b',"timestamp":"%b"%b' % pair for pair in zip(stamps, details, strict=False))
    return Changes(texts, shown, times)


def _overwritten(lines: list[bytes], begins: list[int], new: list[bytes], width: int) -> list[bytes]:
    """Lines with another text at a place of each."""
    places = zip(lines, begins, new, strict=True)
    return [b"%b%b%b" % (line[:begin], text, line[begin + width :]) for line, begin, text in places]


def _again(victims: Victims) -> Changes:
    return Changes(victims.lines, _after(victims), victims.time)


def _changed_again(victims: Victims) -> Changes:
    pairs = [changed_content(line, one) for line, one in zip(victims.lines, victims.types, strict=True)]
    details = (
        b'%b,"field":%b' % (after, orjson.dumps(name)) for after, (_, name) in zip(_after(victims), pairs, strict=True)
    )
    return Changes([text for text, _ in pairs], details, victims.time)


def _after(victims: Victims) -> map[bytes]:
    return map(b',"after_ms":%b'.__mod__, map(_ms, victims.amount.tolist()))


def _schema(victims: Victims) -> Changes:
    found = [
        violated(line, one, victims.fault.fields, word)
        for line, one, word in zip(victims.lines, victims.types, victims.word.tolist(), strict=True)
    ]
    details = (b',"field":%b,"violation":"%b"' % (orjson.dumps(one.field), one.way.encode()) for one in found)
    return Changes([one.text for one in found], details, victims.time)


def _late(victims: Victims) -> Changes:
    return Changes(victims.lines, map(b',"late_ms":%b'.__mod__, map(_ms, victims.amount.tolist())), victims.time)


def _reordered(victims: Victims) -> Changes:
    return Changes(victims.lines, map(b',"places":%d'.__mod__, victims.amount.tolist()), victims.time)


def _ms(time: int) -> bytes:
    return orjson.dumps(time / 1000)


MUTATIONS = {
    "drop": Mutation("never", _unchanged),
    "missing-started": Mutation("never", _unchanged),
    "tombstone": Mutation("instead", _tombstone),
    "poison": Mutation("instead", _poison),
    "corrupt": Mutation("instead", _corrupt),
    "schema": Mutation("instead", _schema),
    "wrong-tenant": Mutation("instead", _wrong_tenant),
    "orphan-causation": Mutation("instead", _orphan),
    "completed-before-started": Mutation("instead", _before_cause),
    "clock-skew": Mutation("instead", _skewed),
    "changed-duplicate": Mutation("again", _changed_again),
    "duplicate": Mutation("again", _again),
    "late": Mutation("later", _late),
    "reorder": Mutation("behind", _reordered),
}
