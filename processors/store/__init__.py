"""The schema, and reading what was stored."""

from eventbus.processors.store.definitions import Facts
from eventbus.processors.store.store import Conservation, EventStore, Page, StoredChain, StoredDeadLetter

__all__ = ["Conservation", "EventStore", "Facts", "Page", "StoredChain", "StoredDeadLetter"]
