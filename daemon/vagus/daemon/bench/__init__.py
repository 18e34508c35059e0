"""Benchmarks of the node's own code, for `vagus bench`."""
