"""From YAML to the values of the catalog."""
