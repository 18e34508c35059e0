"""The node as a service of its system: logs, signals, what systemd is told, its own health."""
