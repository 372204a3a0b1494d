"""What goes wrong on purpose, and the ledger of it."""
