"""The commands, one module each or several that belong together."""
