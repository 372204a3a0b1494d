"""Models of all responses, as `/docs` shows them; the tests validate every response against its model."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class ResponseModel(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorDetail(ResponseModel):
    field: str
    message: str = Field(description="What was expected, and what was given")


class ErrorResponse(ResponseModel):
    """Every response of status 4xx and 5xx."""

    error: str
    details: list[ErrorDetail]


class StoredEvent(ResponseModel):
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


class EventList(ResponseModel):
    events: list[StoredEvent] = Field(description="Newest first")
    next_cursor: str | None = Field(description="The `cursor` of the next page; null on the last")


class NewEvent(BaseModel):
    """An event to publish. Only `event_type` and `payload` are required; other fields are filled in."""

    event_type: str = Field(examples=["omninode.intelligence.query.requested.v1"])
    payload: dict[str, Any] = Field(examples=[{"query": "optimize database", "operation_type": "code_analysis"}])
    event_id: UUID | None = None
    timestamp: datetime | None = None
    correlation_id: UUID | None = Field(None, description="The chain to join; without it, the event starts a new one")
    causation_id: UUID | None = None
    tenant_id: str | None = None
    namespace: str | None = None
    source: str | None = None
    schema_version: str | None = None


class Verdict(ResponseModel):
    index: int = Field(description="Position in the request, from 0")
    verdict: Literal["accepted", "invalid"]
    event_id: str | None = None
    correlation_id: str | None = None
    note: str | None = None
    details: list[ErrorDetail] = []


class IngestResult(ResponseModel):
    accepted: int
    invalid: int
    results: list[Verdict]


class IngestRefused(ErrorResponse):
    results: list[Verdict]


class ChainNode(ResponseModel):
    depth: int = Field(description="Number of causes above it; exceeds the nesting where a chain is deeper than 100")
    offset_ms: float = Field(description="Since the chain's first event")
    gap_ms: float | None = Field(description="Since the event that caused it; null on a root")
    event: StoredEvent
    effects: list[ChainNode]


class ChainDetails(ResponseModel):
    correlation_id: UUID
    chain: str | None = Field(description="Name in the catalog", examples=["agent-execution"])
    tenant_id: str
    state: str
    outcome: str | None
    verdict: str | None = Field(description="How its events conform to the catalog")
    requested_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    duration_ms: float | None = Field(description="From requested to ended; null while in flight")
    event_count: int
    explanation: str
    tree: list[ChainNode] = Field(description="Roots; a complete chain has one")


class EventStatistics(ResponseModel):
    total: int
    per_second: float
    by_type: dict[str, int]


class PerChainStatistics(ResponseModel):
    total: int
    completed: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class ChainStatistics(ResponseModel):
    total: int
    completed: int
    failed: int
    in_flight: int
    by_chain: dict[str, PerChainStatistics]


class Statistics(ResponseModel):
    events: EventStatistics
    chains: ChainStatistics


class Component(BaseModel):
    """The health of one component, which may add fields of its own."""

    model_config = ConfigDict(extra="allow")

    status: Literal["ok", "degraded", "down"]


class Health(ResponseModel):
    status: Literal["ok", "degraded", "down"]
    version: str
    uptime_seconds: float
    components: dict[str, Component]


class CatalogChain(ResponseModel):
    name: str
    description: str
    weight: float
    root: str
    event_types: list[str]


class CatalogEvent(ResponseModel):
    name: str
    description: str
    topic: str
    source: str
    schema_version: str
    payload_schema: dict[str, Any] = Field(description="JSON Schema")


class CatalogListing(ResponseModel):
    chains: list[CatalogChain]
    event_types: list[CatalogEvent]
