"""What takes minutes, and tells a rate rather than a verdict."""
