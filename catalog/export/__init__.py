"""The catalog in the terms of other tools."""
