"""How servers want events, and how they say what became of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import orjson

from eventbus.record import ProducerRecord

UNAUTHORIZED = 401
SHOWN = 200
"""Characters of an answer that are worth repeating."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent for some records."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; without an answer, `problem` says why."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    problem: str | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def __str__(self) -> str:
        text = " ".join(self.body[: 4 * SHOWN].decode(errors="replace").split())[:SHOWN]
        return self.problem or f"{self.status} {text}".rstrip()


class Refusal(NamedTuple):
    """A record that the server did not take, and why."""

    record: ProducerRecord
    reason: str


class Dialect(Protocol):
    """One server's way of speaking."""

    @property
    def batch(self) -> int:
        """Records in a request at most."""
        ...

    def lane(self, record: ProducerRecord) -> bytes:
        """Records with the same are sent one after the other."""
        ...

    def fits(self, record: ProducerRecord) -> bool | str:
        """Whether the server has a form for a record; a text says what is wrong with it."""
        ...

    def request(self, records: Sequence[ProducerRecord]) -> Request: ...

    def refused(self, answer: Answer, records: Sequence[ProducerRecord], attempt: int) -> list[Refusal]:
        """Which records a server did not take that answered with success."""
        ...

    def locks_out(self, answer: Answer) -> bool:
        """Whether the server would refuse everything else as well."""
        ...


Body = Callable[[ProducerRecord], bytes]


class JsonDialect:
    """JSON: the event or what `body` makes of it, one in a request or several as a list.

    Args:
        body: the JSON of one record. None: its value.
        batch: 1: an object; more: always a list.
        headers: sent with every request.
        cloudevents: the records are CloudEvents in their JSON form, and the content type says so.
    """

    def __init__(
        self,
        body: Body | None = None,
        *,
        batch: int = 1,
        headers: Mapping[str, str] | None = None,
        cloudevents: bool = False,
    ) -> None:
        self.batch = batch
        self._body = body or _value
        kind = ("cloudevents-batch+json" if batch > 1 else "cloudevents+json") if cloudevents else "json"
        self._headers = {"content-type": f"application/{kind}", **(headers or {})}

    def lane(self, record: ProducerRecord) -> bytes:
        return record.key or b""

    def fits(self, record: ProducerRecord) -> bool | str:
        """Alone, a record may be anything; in a list it must be JSON, or it would spoil the others.

        Raises:
            InvalidEvent: the body needs an event.
        """
        item = self._body(record)
        if self.batch > 1:
            try:
                orjson.loads(item)
            except orjson.JSONDecodeError as error:
                return f"not JSON: {error}"
        return True

    def request(self, records: Sequence[ProducerRecord]) -> Request:
        bodies = list(map(self._body, records))
        return Request(b"[" + b",".join(bodies) + b"]" if self.batch > 1 else bodies[0], self._headers)

    def refused(self, answer: Answer, records: Sequence[ProducerRecord], attempt: int) -> list[Refusal]:
        """Reads a verdict per item, where the answer has a list of them: `{"results": [{"verdict": …}, …]}`."""
        if b'"results"' not in answer.body:
            return []
        try:
            results = orjson.loads(answer.body)["results"]
            verdicts = [(result["verdict"], result) for result in results]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return []
        if len(verdicts) != len(records):
            return []
        return [
            Refusal(record, orjson.dumps(result).decode()[:SHOWN])
            for record, (verdict, result) in zip(records, verdicts, strict=True)
            if verdict in ("invalid", "dropped")
        ]

    def locks_out(self, answer: Answer) -> bool:
        return answer.status == UNAUTHORIZED


def _value(record: ProducerRecord) -> bytes:
    return record.value or b"null"
