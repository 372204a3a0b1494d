"""`python -m eventbus`: the same as the command `eventbus`."""

from eventbus.cli import main

main()
