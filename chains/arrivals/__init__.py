"""When chains begin: the open and the closed model, compiled."""
