"""Our decoder beside those that were released, on the same scenes in the same minutes."""
