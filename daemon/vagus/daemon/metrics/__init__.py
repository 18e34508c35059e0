"""What the node counts, and how it is exposed: docs/metrics.md."""
