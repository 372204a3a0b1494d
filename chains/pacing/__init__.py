"""Paced runs: publishing events when they are due, and the figures of a run."""
