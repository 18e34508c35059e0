"""The committee: who decides on an outcome and signs it, this node alone or with others."""

from vagus.daemon.committee.base import Committee, Decided, Signing, Work
from vagus.daemon.committee.sole import SoleSigner

__all__ = ["Committee", "Decided", "Signing", "SoleSigner", "Work"]
