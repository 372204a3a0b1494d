"""`python -m eventbus`: the same program as `eventbus`."""

from eventbus.cli import main

main()
