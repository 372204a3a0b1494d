"""The database: its schema, what writers send, and what readers query."""

from eventbus.processors.store.chains import StoredChain
from eventbus.processors.store.dead_letters import StoredDeadLetter
from eventbus.processors.store.definitions import ChainDefinitions
from eventbus.processors.store.events import StoredPage
from eventbus.processors.store.offsets import Conservation
from eventbus.processors.store.store import EventStore

__all__ = ["ChainDefinitions", "Conservation", "EventStore", "StoredChain", "StoredDeadLetter", "StoredPage"]
