"""An EVM endpoint that shows intents which do not exist, in the places of some that do."""

from typing import Any

from eth_abi.abi import decode, encode
from eth_utils.abi import collapse_if_tuple, event_abi_to_log_topic, function_abi_to_4byte_selector
from eth_utils.crypto import keccak

from byzantine.books import intent_id_of
from support.contracts import committed
from support.hub import types

__all__ = ["Forger"]

OPEN = 1
_ABI = {each.get("name"): each for each in committed("hub")["abi"]}
_REQUESTED = "0x" + event_abi_to_log_topic(_ABI["IntentRequested"]).hex()
_STATE = "0x" + function_abi_to_4byte_selector(_ABI["intentState"]).hex()
_DATA = [collapse_if_tuple(i) for i in _ABI["IntentRequested"]["inputs"] if not i["indexed"]]
_NAMES = [each["name"] for each in types()["Intent"]]


class Forger:
    """Bends a node's answers: every second intent is another one, and it is open for ever.

    What it shows agrees with itself: the hub's numbers, the ids, the hashes, and the state.
    """

    def __init__(self) -> None:
        self.forged: set[str] = set()
        """The ids that it invented, in hex."""

    def __call__(self, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """Return what is answered instead; see `vagus.adapters.conformance.faults.Lie`."""
        if "result" not in answer:
            return answer
        if request["method"] == "eth_getLogs":
            return {**answer, "result": [self._log(each) for each in answer["result"]]}
        if request["method"] == "eth_call":
            data = request["params"][0].get("data") or request["params"][0].get("input", "")
            if data.startswith(_STATE) and data[10:74] in self.forged:
                state = f"0x{OPEN:064x}{answer['result'][66:]}"
                return {**answer, "result": state}
        return answer

    def _log(self, log: dict[str, Any]) -> dict[str, Any]:
        if log["topics"][0] != _REQUESTED or int(log["topics"][2], 16) % 2:
            return log
        fields, _, terms = decode(_DATA, bytes.fromhex(log["data"][2:]))
        payload = b'{"prompt": "what nobody asked, number %d"}' % fields[1]
        intent = dict(zip(_NAMES, fields, strict=True)) | {"payloadHash": keccak(payload)}
        forged = intent_id_of(intent).hex()
        self.forged.add(forged)
        data = encode(_DATA, [tuple(intent.values()), payload, terms]).hex()
        topics = [log["topics"][0], f"0x{forged}", *log["topics"][2:]]
        return {**log, "topics": topics, "data": f"0x{data}"}
