"""The backends that vagus brings: one module each, all of the same shape."""
