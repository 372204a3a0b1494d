"""Turns events into rows: Faust agents, decoding, and one exact transaction for each batch."""
