"""The PostgreSQL side: the embedded server, the schema, and reading what was stored."""
