"""Modes: how a committee's members check an answer. `vagus.agents.modes.base` is their contract."""

from vagus.agents.manifest import Manifest
from vagus.agents.modes.base import CheckContext, Result, Verdict, Verifier, check_result
from vagus.agents.modes.collect import Collect, Jury
from vagus.agents.modes.combined import combined
from vagus.agents.modes.exact import Exact
from vagus.agents.modes.fields import Fields
from vagus.agents.modes.rescoring import Rescoring
from vagus.agents.modes.semantic import Semantic
from vagus.agents.modes.tee import Tee
from vagus.agents.modes.zk import Zk

__all__ = ["CheckContext", "Result", "Verdict", "Verifier", "check_result", "combined", "mode_of"]

_MODES: dict[str, type[Verifier]] = {
    "exact": Exact,
    "fields": Fields,
    "collect": Collect,
    "jury": Jury,
    "semantic": Semantic,
    "rescoring": Rescoring,
    "tee": Tee,
    "zk": Zk,
}


def mode_of(manifest: Manifest) -> Verifier:
    """Return the mode that a manifest names. Raises Refuse for parameters it does not understand."""
    return _MODES[manifest.mode.name](manifest)
