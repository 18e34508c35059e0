"""`vagus check` and `vagus doctor`: what is wrong with a config, a chain, a node, and what to do."""
