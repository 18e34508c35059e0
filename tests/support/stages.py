"""A node's stages, as `/v1/intents/<id>` names them, and where each failpoint lies among them."""

__all__ = ["STAGES", "STEPS"]

STEPS = ("final", "routed", "executed", "attested", "submitted", "confirmed", "settling", "settled")
"""Those that an answered intent goes through once it is observed."""
STAGES = {
    "observed": "observed",
    "final": "final",
    "routed": "routed",
    "executed": "executed",
    "attested": "attested",
    "deliver-built": "submitted",
    "deliver-broadcast": "submitted",
    "confirmed": "confirmed",
    "settle-built": "settling",
    "settle-broadcast": "settling",
}
"""How far the journal is when the node ends at a failpoint."""
