"""The hub's IDL, in the form of Anchor's 0.1.0, from a table of its calls and accounts.

`build.py` writes it as package data. Reasons are read from the program's own source; that the rest fits
the program is tried by the tests, whose client knows the hub by its IDL alone. Every deployment has an
address of its own: `address` is a place for it.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

FIRST_CODE = 6000
SYSTEM_PROGRAM = "11111111111111111111111111111111"

BYTES32 = {"array": ["u8", 32]}
ADDRESS20 = {"array": ["u8", 20]}
_TYPES = {
    "bytes32": BYTES32,
    "uint256": BYTES32,
    "uint64": "u64",
    "key": "pubkey",
    "signers": {"vec": ADDRESS20},
    "payouts": {"vec": {"defined": {"name": "Payout"}}},
    "registered": {"vec": {"defined": {"name": "Registered"}}},
}

# Instructions in the order of their bytes: arguments, then accounts. An account's flags: w is written,
# s signs, ? is optional; after a colon the seeds of its address.
INSTRUCTIONS = {
    "initialize": (
        "genesis:bytes32 epoch:u64 guardian:key min_fee:u64 min_ttl:u64 max_ttl:u64 grace:u64 "
        "max_callback_gas:u64 roster_hash:bytes32 threshold:u64 signers:signers",
        "payer/sw authority/s program_data config/w:'config' signer_set/w system_program",
    ),
    "request": (
        "nonce:u64 agent_id:bytes32 model_digest:bytes32 min_signers:u64 dest_hub:bytes32 "
        "callback:bytes32 callback_gas:u64 deadline:u64 fee:u64 payload:bytes terms:bytes",
        "payer/sw staging/? config/w:'config' requester/s intent/w:'intent',@requester,nonce "
        "credit/w:'credit',@requester system_program",
    ),
    "settle": (
        "receipt:Receipt payouts:payouts signatures:bytes",
        "caller/s staging/? config:'config' signer_set intent/w credit/w",
    ),
    "refund": ("intent_id:bytes32", "config:'config' intent/w credit/w"),
    "withdraw": ("", "owner/sw credit/w:'credit',@owner"),
    "open_credit": ("", "payer/sw owner credit/w:'credit',@owner system_program"),
    "close_intent": ("", "config:'config' intent/w payer/w"),
    "deliver": (
        "intent:Intent attestation:Attestation output:bytes signatures:bytes",
        "deliverer/sw staging/? config:'config' signer_set delivery/w system_program",
    ),
    "retry": (
        "intent:Intent output:bytes",
        "caller/s staging/? config:'config' delivery/w registry:'registry',@consumer consumer "
        "callback_signer:'callback',@consumer",
    ),
    "close_delivery": ("", "config:'config' delivery/w deliverer/w"),
    "register": (
        "accounts:registered",
        "payer/sw authority/s consumer registry/w:'registry',@consumer system_program",
    ),
    "rotate": (
        "rotation:Rotation signers:signers signatures:bytes",
        "payer/sw staging/? config/w:'config' signer_set next_signer_set/w system_program",
    ),
    "pause": ("", "guardian/s config/w:'config'"),
    "unpause": ("", "guardian/s config/w:'config'"),
    "offer_guardian": ("candidate:key", "guardian/s config/w:'config'"),
    "accept_guardian": ("", "candidate/s config/w:'config'"),
    "stage_open": ("id:u64 size:u32", "writer/sw staging/w:'staging',@writer,id system_program"),
    "stage_write": ("offset:u32 bytes:bytes", "writer/s staging/w"),
    "stage_close": ("", "writer/sw staging/w"),
    "digest": ("kind:u8 hub_id:bytes32 message:bytes", ""),
}

# The four messages, as EIP-712 writes them.
MESSAGES = [
    "Intent(bytes32 originHub,uint64 seq,bytes32 requester,bytes32 agentId,bytes32 payloadHash,"
    "bytes32 modelDigest,bytes32 termsHash,uint64 minSigners,bytes32 destHub,bytes32 callback,"
    "uint64 callbackGas,bytes32 feeAsset,uint256 maxFee,uint64 deadline)",
    "Attestation(bytes32 intentId,bytes32 originHub,uint64 status,bytes32 outputHash,"
    "bytes32 agentDigest,bytes32 modelDigest,bytes32 evidenceHash,uint64 epoch,uint64 expiry)",
    "Receipt(bytes32 intentId,bytes32 destHub,uint64 status,bytes32 payoutsHash,uint256 fee,"
    "uint64 epoch,uint64 expiry)",
    "Rotation(uint64 epoch,bytes32 signersHash,uint64 threshold,uint64 validFrom,bytes32 rosterHash)",
]

# Accounts in the order of their kinds, from the byte behind the kind on. Signers follow a SignerSet,
# 20 bytes each, and arguments a Staging: neither has a length in front, the account's size tells it.
ACCOUNTS = {
    "Config": "bump:u8 paused:bool unused:5 hub_id:bytes32 domain:bytes32 genesis:bytes32 "
    "guardian:key candidate:key min_fee:u64 min_ttl:u64 max_ttl:u64 grace:u64 "
    "max_callback_gas:u64 first_epoch:u64 first_seq:u64 next_seq:u64 epoch:u64 "
    "previous_until:u64 slot:u64",
    "SignerSet": "bump:u8 threshold:u8 size:u8 unused:4 epoch:u64 roster_hash:bytes32",
    "Escrow": "bump:u8 state:u8 unused:5 nonce:u64 payer:key intent_id:bytes32 amount:u64 "
    "slot:u64 intent:Intent payload:bytes terms:bytes",
    "Delivery": "bump:u8 status:u8 callback:u8 signers:u32 intent_id:bytes32 "
    "output_hash:bytes32 evidence_hash:bytes32 deliverer:key epoch:u64 delivered_at:u64 "
    "deadline:u64 slot:u64",
    "Credit": "bump:u8 unused:6 owner:key amount:u64",
    "Staging": "bump:u8 unused:6 writer:key id:u64",
    "Registry": "bump:u8 signer_bump:u8 count:u8 unused:4 consumer:key accounts:16",
}

EVENTS = {
    "IntentRequested": "nonce:u64 intent:Intent",
    "Settled": "intent_id:bytes32 status:u64 fee:u64 returned:u64 epoch:u64",
    "Refunded": "intent_id:bytes32 requester:key amount:u64",
    "Withdrawn": "account:key amount:u64",
    "Delivered": "intent_id:bytes32 origin_hub:bytes32 deliverer:key status:u64 "
    "output_hash:bytes32 agent_digest:bytes32 model_digest:bytes32 evidence_hash:bytes32 "
    "epoch:u64 signers:u32",
    "CallbackResult": "intent_id:bytes32 callback:key success:bool",
    "Rotated": "epoch:u64 threshold:u64 signers:signers roster_hash:bytes32 previous_until:u64",
    "Paused": "guardian:key",
    "Unpaused": "guardian:key",
    "GuardianOffered": "guardian:key candidate:key",
    "GuardianChanged": "previous:key guardian:key",
}

PLAIN = {"Payout": "payee:bytes32 amount:uint256", "Registered": "key:key writable:bool"}


def document(sources: Path) -> str:
    """The IDL as it is committed; `sources` is the folder of the program's source."""
    types = {name: _fields(text) for name, text in (PLAIN | ACCOUNTS | EVENTS).items()}
    types |= dict(map(_message, MESSAGES))
    idl = {
        "address": SYSTEM_PROGRAM,
        "metadata": {"name": "vagus_hub", "version": "0.1.0", "spec": "0.1.0"},
        "instructions": [
            {
                "name": name,
                "discriminator": [byte],
                "accounts": [_account(text) for text in accounts.split()],
                "args": _fields(arguments),
            }
            for byte, (name, (arguments, accounts)) in enumerate(INSTRUCTIONS.items())
        ],
        "accounts": [
            {"name": name, "discriminator": [kind]} for kind, name in enumerate(ACCOUNTS, 1)
        ],
        "events": [
            {
                "name": name,
                "discriminator": list(hashlib.sha256(f"event:{name}".encode()).digest()[:8]),
            }
            for name in EVENTS
        ],
        "errors": [
            {"code": FIRST_CODE + place, "name": name, "msg": text}
            for place, (name, text) in enumerate(_reasons(sources))
        ],
        "types": [
            {"name": name, "type": {"kind": "struct", "fields": fields}}
            for name, fields in types.items()
        ],
    }
    return json.dumps(idl, indent=1) + "\n"


def _reasons(sources: Path) -> list[tuple[str, str]]:
    text = (sources / "errors.rs").read_text()
    return re.findall(r'^    (\w+) = "([^"]+)",$', text, re.MULTILINE)


def _message(text: str) -> tuple[str, list[dict[str, Any]]]:
    name, fields = text.rstrip(")").split("(")
    pairs = [field.split() for field in fields.split(",")]
    return name, [{"name": _snake(field), "type": _TYPES[kind]} for kind, field in pairs]


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda match: "_" + match[0].lower(), name)


def _fields(text: str) -> list[dict[str, Any]]:
    pairs = [field.split(":") for field in text.split()]
    return [{"name": name, "type": _type(kind)} for name, kind in pairs]


def _type(kind: str) -> Any:
    if kind == "16":
        return {"array": [{"defined": {"name": "Registered"}}, 16]}
    if kind.isdigit():
        return {"array": ["u8", int(kind)]}
    if kind[0].isupper():
        return {"defined": {"name": kind}}
    return _TYPES.get(kind, kind)


def _account(text: str) -> dict[str, Any]:
    text, _, seeds = text.partition(":")
    name, _, flags = text.partition("/")
    account: dict[str, Any] = {"name": name}
    for flag, word in (("w", "writable"), ("s", "signer"), ("?", "optional")):
        if flag in flags:
            account[word] = True
    if name == "system_program":
        account["address"] = SYSTEM_PROGRAM
    if seeds:
        account["pda"] = {"seeds": [_seed(seed) for seed in seeds.split(",")]}
    return account


def _seed(text: str) -> dict[str, Any]:
    if text.startswith("'"):
        return {"kind": "const", "value": list(text.strip("'").encode())}
    if text.startswith("@"):
        return {"kind": "account", "path": text[1:]}
    return {"kind": "arg", "path": text}
