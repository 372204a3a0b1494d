"""What makes a catalog bad."""
