"""Records become rows: routed, batched, decoded and written in one exact transaction."""
