"""A chain as a graph of plain nodes and weighted edges, and the event types that complete chains leave behind."""
