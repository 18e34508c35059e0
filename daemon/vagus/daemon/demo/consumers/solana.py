"""The example consumer on a Solana chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM
from solders.system_program import TransferParams, transfer

from vagus.adapters.solana.artifacts import program
from vagus.adapters.solana.deploy import deploy_program, send
from vagus.adapters.solana.loader import program_data
from vagus.adapters.solana.records import Places
from vagus.adapters.solana.wallet import Wallet
from vagus.daemon.demo.consumers.base import Consumer
from vagus.protocol import Account, agent_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.daemon.demo.consumers.base import Place

__all__ = ["deploy"]

# The state of contracts/solana/consumer: where the newest answer's intent, length and text are.
_INTENT = 1 + 4 * 32 + 4 * 64
_LENGTH = _INTENT + 32 + 8
_OUTPUT = _LENGTH + 4
_SIZE = _OUTPUT + 1024
_SET_UP, _ALLOW = b"\0", b"\1"


async def deploy(place: Place, agent: str) -> Consumer:
    """Deploy it, make its state and have it register that with the hub."""
    wallet = Wallet(place.secret)
    # Its owner is who may upgrade it.
    done = await deploy_program(place.rpc, wallet, "consumer", program("consumer"), final=False)
    consumer = _SolanaConsumer(
        place, wallet, Pubkey.from_string(Account.parse(done.account).address)
    )
    await consumer.set_up(Pubkey.from_string(Account.parse(place.hub).address), agent)
    return consumer


class _SolanaConsumer(Consumer):
    keeps_all = False

    def __init__(self, place: Place, wallet: Wallet, key: Pubkey) -> None:
        super().__init__(bytes(key))
        self._rpc = place.rpc
        self._wallet = wallet
        self._key = key
        self._state, _ = Pubkey.find_program_address([b"state"], key)

    async def set_up(self, hub: Pubkey, agent: str) -> None:
        async with AsyncClient(self._rpc) as client:
            rent = (await client.get_minimum_balance_for_rent_exemption(_SIZE)).value
        owner = self._wallet.key
        authority, _ = Pubkey.find_program_address([b"vagus"], self._key)
        paid = transfer(TransferParams(from_pubkey=owner, to_pubkey=self._state, lamports=rent))
        metas = [
            AccountMeta(owner, is_signer=True, is_writable=True),
            AccountMeta(program_data(self._key), is_signer=False, is_writable=False),
            AccountMeta(self._state, is_signer=False, is_writable=True),
            AccountMeta(authority, is_signer=False, is_writable=False),
            AccountMeta(self._key, is_signer=False, is_writable=False),
            AccountMeta(hub, is_signer=False, is_writable=False),
            AccountMeta(Places(hub).registry(self.word), is_signer=False, is_writable=True),
            AccountMeta(SYSTEM, is_signer=False, is_writable=False),
        ]
        made = Instruction(self._key, _SET_UP + agent_id(agent), metas)
        await send(self._rpc, self._wallet, [paid, made])

    async def allow(self, askers: Sequence[tuple[bytes, bytes]]) -> None:
        metas = [
            AccountMeta(self._wallet.key, is_signer=True, is_writable=False),
            AccountMeta(self._state, is_signer=False, is_writable=True),
        ]
        allowed = [
            Instruction(self._key, _ALLOW + hub + requester, metas) for hub, requester in askers
        ]
        await send(self._rpc, self._wallet, allowed)

    async def answers(self, intent_ids: Sequence[bytes]) -> dict[bytes, bytes]:
        async with AsyncClient(self._rpc) as client:
            state = (await client.get_account_info(self._state, Confirmed)).value
        if state is None:
            return {}
        newest = state.data[_INTENT : _INTENT + 32]
        length = int.from_bytes(state.data[_LENGTH:_OUTPUT], "little")
        output = state.data[_OUTPUT : _OUTPUT + length]
        return {newest: output} if newest in intent_ids else {}
