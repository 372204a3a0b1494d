"""Everything that knows Faust."""
