"""From YAML to the values of the catalog, with the file and line of every mistake."""
