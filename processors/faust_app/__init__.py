"""Everything that depends on Faust: the application, its agents, and two transports."""
