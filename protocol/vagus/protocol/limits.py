"""The bounds that every hub and every node keeps, on every VM."""

MAX_PAYLOAD = 8_192
"""Bytes of a request's payload."""

MAX_OUTPUT = 8_192
"""Bytes of an answer."""

MAX_TERMS = 1_024
"""Bytes of a request's terms."""

MAX_SIGNERS = 32
"""Signers in a hub's set."""

MAX_PAYOUTS = 34
"""Payouts in a receipt: every signer, the executor and the deliverer."""

MAX_EVIDENCE = 65_536
"""Bytes of an evidence document."""

MAX_ENVELOPE = 131_072
"""Bytes of a member's envelope: a proposal with its evidence and two quorums of others' envelopes."""
