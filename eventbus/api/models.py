"""The shapes of all answers: the documentation at `/docs` shows them, and the tests hold every answer against them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorDetail(Answer):
    field: str
    message: str = Field(description="What was expected and what came")


class Error(Answer):
    """Every answer of status 4xx and 5xx."""

    error: str
    details: list[ErrorDetail]


class StoredEvent(Answer):
    event_id: UUID
    event_type: str = Field(examples=["omninode.agent.execution.started.v1"])
    timestamp: datetime
    correlation_id: UUID = Field(description="Shared by the whole chain: the event_id of its root")
    causation_id: UUID | None = Field(description="event_id of the event that caused this one; null on the root")
    tenant_id: str
    namespace: str
    source: str
    schema_version: str
    payload: dict[str, Any]


class EventPage(Answer):
    events: list[StoredEvent] = Field(description="Newest first")
    next_cursor: str | None = Field(description="Give it as `cursor` to get the next page; null on the last")


class NewEvent(BaseModel):
    """An event to inject. Only these two are required; whatever else an event has is filled in when left out."""

    event_type: str = Field(examples=["omninode.intelligence.query.requested.v1"])
    payload: dict[str, Any] = Field(examples=[{"query": "optimize database", "operation_type": "code_analysis"}])
    event_id: UUID | None = None
    timestamp: datetime | None = None
    correlation_id: UUID | None = Field(None, description="Of the chain to join; left out, the event starts one")
    causation_id: UUID | None = None
    tenant_id: str | None = None
    namespace: str | None = None
    source: str | None = None
    schema_version: str | None = None


class Verdict(Answer):
    index: int = Field(description="Place in the request, from 0")
    verdict: Literal["accepted", "invalid"]
    event_id: str | None = None
    correlation_id: str | None = None
    note: str | None = None
    details: list[ErrorDetail] = []


class Injected(Answer):
    accepted: int
    invalid: int
    results: list[Verdict]


class InjectionRefused(Error):
    results: list[Verdict]


class ChainNode(Answer):
    depth: int = Field(description="Causes above it; more than the nesting shows where a chain is deeper than 100")
    offset_ms: float = Field(description="Since the chain's first event")
    gap_ms: float | None = Field(description="Since the event that caused it; null on a root")
    event: StoredEvent
    effects: list[ChainNode]


class Chain(Answer):
    correlation_id: UUID
    chain: str | None = Field(description="Name in the catalog", examples=["agent-execution"])
    tenant_id: str
    state: str
    outcome: str | None
    verdict: str | None = Field(description="The walk judged against the catalog")
    requested_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: float | None = Field(description="From requested to ended; null while in flight")
    event_count: int
    explanation: str
    tree: list[ChainNode] = Field(description="Roots; a complete chain has one")


class EventStatistics(Answer):
    total: int
    per_second: float
    by_type: dict[str, int]


class OneChainStatistics(Answer):
    total: int
    completed: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class ChainStatistics(Answer):
    total: int
    completed: int
    failed: int
    in_flight: int
    by_chain: dict[str, OneChainStatistics]


class Statistics(Answer):
    events: EventStatistics
    chains: ChainStatistics


class Component(BaseModel):
    """One part; further fields are its own."""

    model_config = ConfigDict(extra="allow")

    status: Literal["ok", "degraded", "down"]


class Health(Answer):
    status: Literal["ok", "degraded", "down"]
    version: str
    uptime_seconds: float
    components: dict[str, Component]


class CatalogChain(Answer):
    name: str
    description: str
    weight: float
    root: str
    event_types: list[str]


class CatalogEvent(Answer):
    name: str
    description: str
    topic: str
    source: str
    schema_version: str
    payload_schema: dict[str, Any] = Field(description="JSON Schema")


class CatalogAnswer(Answer):
    chains: list[CatalogChain]
    event_types: list[CatalogEvent]
