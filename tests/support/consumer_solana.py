"""The example consumer for Solana beside its hub; Bob owns it."""

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from support.hub import AGENT, Message
from support.hub_solana import SolanaHub, camel, person
from support.litesvm import LOADER, Sent
from support.solana_idl import build

__all__ = ["Consumer", "new_consumer"]

SIZE = 1 + 32 * 4 + 4 * 64 + 32 + 8 + 4 + 1024


def new_consumer(hub: SolanaHub, name: str = "consumer") -> "Consumer":
    """Put the program in place at the address of its name, and let Bob set it up."""
    consumer = Consumer(hub, name)
    consumer.place()
    consumer.set_up(hub.bob)
    return consumer


class Consumer:
    """The program, by its instructions and its account."""

    def __init__(self, hub: SolanaHub, name: str = "consumer") -> None:
        self.hub = hub
        self.program = person(name).pubkey()
        self.state, _ = Pubkey.find_program_address([b"state"], self.program)
        self.authority, _ = Pubkey.find_program_address([b"vagus"], self.program)
        self.data, _ = Pubkey.find_program_address([bytes(self.program)], LOADER)

    def place(self) -> None:
        """Put the program in place."""
        self.hub.chain.program(self.program, build("consumer"), self.hub.key(self.hub.bob))

    def meta(self, key: Pubkey, flags: str = "") -> AccountMeta:
        return AccountMeta(key, "s" in flags, "w" in flags)

    def send(self, who: str, byte: int, data: bytes, *metas: AccountMeta) -> Sent:
        """One of the program's own instructions."""
        first = self.meta(self.hub.key(who), "sw")
        call = Instruction(self.program, bytes([byte]) + data, [first, *metas])
        return self.hub.execute([call], who)

    def set_up(self, who: str) -> Sent:
        """The rent first, then the program."""
        hub = self.hub
        payer = hub.key(who)
        rent = hub.chain.rent(SIZE)
        paid = transfer(TransferParams(from_pubkey=payer, to_pubkey=self.state, lamports=rent))
        metas = [
            self.meta(payer, "sw"),
            self.meta(self.data),
            self.meta(self.state, "w"),
            self.meta(self.authority),
            self.meta(self.program),
            self.meta(hub.program.id),
            self.meta(hub.pda(b"registry", bytes(self.program)), "w"),
            self.meta(Pubkey.default()),
        ]
        return hub.execute([paid, Instruction(self.program, b"\0" + AGENT, metas)], who)

    def allow(self, who: str, origin: bytes, requester: bytes) -> Sent:
        """Believe the answers to what is asked at that hub by that account."""
        return self.send(who, 1, origin + requester, self.meta(self.state, "w"))

    def ask(self, who: str, **changes: object) -> Message:
        """Ask through the program; the intent as its account has it."""
        hub = self.hub
        asked = {
            "nonce": 0,
            "agent_id": AGENT,
            "model_digest": bytes(32),
            "min_signers": 0,
            "dest_hub": hub.id,
            "callback": bytes(self.program),
            "callback_gas": 100_000,
            "deadline": hub.now + 3600,
            "fee": 5000,
            "payload": b"question",
            "terms": b"",
        } | changes
        place = hub.pda(b"intent", bytes(self.authority), 0)
        self.send(
            who,
            2,
            hub.program.arguments("request", asked),
            self.meta(self.state, "w"),
            self.meta(self.authority),
            self.meta(hub.program.id),
            self.meta(hub.pda(b"config"), "w"),
            self.meta(place, "w"),
            self.meta(hub.credit_of(bytes(self.authority)), "w"),
            self.meta(Pubkey.default()),
        )
        record = hub.read("Escrow", place)
        assert record
        hub.nonces[record["intent_id"]] = 0
        return camel(record["intent"])

    def collect(self, who: str) -> Sent:
        """Withdraw what the hub returned, to the owner."""
        hub = self.hub
        return self.send(
            who,
            3,
            b"",
            self.meta(self.state, "w"),
            self.meta(self.authority, "w"),
            self.meta(hub.program.id),
            self.meta(hub.credit_of(bytes(self.authority)), "w"),
            self.meta(Pubkey.default()),
        )

    def answer(self) -> tuple[bytes, int, bytes]:
        """The newest answer: its intent, status and output."""
        account = self.hub.chain.account(self.state)
        assert account
        data = bytes(account.data)[1 + 32 * 4 + 4 * 64 :]
        length = int.from_bytes(data[40:44], "little")
        return data[:32], int.from_bytes(data[32:40], "little"), data[44 : 44 + length]
