"""Virtual time meets a clock: publishing in time, and figures of it."""
