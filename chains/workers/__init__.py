"""Several processes make one stream."""
