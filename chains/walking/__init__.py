"""Which events chains have, and when: walkers of state machines and of visitors."""
