"""The PostgreSQL server: embedded, or yours."""
