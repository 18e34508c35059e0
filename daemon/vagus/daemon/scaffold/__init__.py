"""New distributions for authors of plugins: an agent's, an adapter's, a backend's."""

from vagus.daemon.scaffold.adapter import new_adapter
from vagus.daemon.scaffold.agent import new_agent
from vagus.daemon.scaffold.backend import new_backend

__all__ = ["new_adapter", "new_agent", "new_backend"]
