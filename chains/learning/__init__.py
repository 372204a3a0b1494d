"""From a recorded stream back to the catalog that it could have come from."""

from eventbus.chains.learning.learn import LearnedCatalog, learn
from eventbus.chains.learning.recording import batches

__all__ = ["LearnedCatalog", "batches", "learn"]
