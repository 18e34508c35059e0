"""Proofs of a circuit's runs, by ezkl in an environment of its own: what mode `zk` is made of."""

from vagus.agents.zk.circuit import Circuit
from vagus.agents.zk.proven import MAX_PROOFS, Proven, Proving
from vagus.agents.zk.prover import Prover

__all__ = ["MAX_PROOFS", "Circuit", "Proven", "Prover", "Proving"]
