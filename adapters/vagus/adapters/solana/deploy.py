"""Deployment of the hub through the upgradeable loader, without the Solana CLI.

The build is written to a buffer in parallel, a program is made of it, the hub is initialized, and the
upgrade authority is dropped. Whatever stands already is found and gone on with: a deployment that was
broken off costs nothing twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import msgspec
from pydantic import SecretStr
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from vagus.adapters.base import HubParameters
from vagus.adapters.errors import BadAnswer
from vagus.adapters.evm.errors import NodeError
from vagus.adapters.solana import hub, loader
from vagus.adapters.solana.accounts import Account, read_accounts
from vagus.adapters.solana.artifacts import program as built
from vagus.adapters.solana.blocks import key_bytes, read_block, read_slot
from vagus.adapters.solana.errors import PREFLIGHT_FAILED, cannot_pay, failed_program, refusal
from vagus.adapters.solana.heads import read_chain
from vagus.adapters.solana.plan import BASE_FEE
from vagus.adapters.solana.records import Places
from vagus.adapters.solana.rpc import Rpc
from vagus.adapters.solana.wallet import Wallet
from vagus.protocol import Refuse, Retry

__all__ = ["Deployment", "deploy_hub", "deploy_program", "send"]

_CHUNK = 950
_AT_ONCE = 32
_MOST = 64
_PAUSE = 0.2
_MOST_ROUNDS = 20
_TIMEOUT = 30.0
_MAX_ANSWER = 32 << 20
_CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
_CLOCK_SIZE = 40
_FEE_BITS = 64
_CONFIG_SIZE, _SET_SIZE, _SIGNER_SIZE = 256, 48, 20

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A program that was deployed: its CAIP-10 account, the last transaction, what it cost in lamports."""

    account: str
    tx_id: str
    lamports: int
    height: int


async def deploy_hub(
    rpc: str,
    wallet: Wallet,
    parameters: HubParameters,
    slowest: float = 0,
    *,
    final: bool = True,
    say: Say = lambda _: None,
) -> Deployment:
    """Deploy a hub and wait until it is final; `final` leaves nobody who could upgrade it.

    `slowest` is the finality, in seconds, of the slowest chain that will deliver for it. Raises
    `ParameterError` for what cannot work, `Rejected` where the hub refuses, `Refuse` where the
    wallet cannot pay, `Retry`.
    """
    parameters.check(_FEE_BITS, slowest)
    async with _Deployer(rpc, wallet, "hub", built("hub"), say) as deployer:
        finality = await deployer.finality()
        parameters.check_finality(finality, max(slowest, finality))
        before = await deployer.balance()
        program, stands = await deployer.place()
        made = [_CONFIG_SIZE, _SET_SIZE + _SIGNER_SIZE * len(parameters.signers)]
        await deployer.check_funds(made, stands=stands)
        if not stands:
            await deployer.make_program(program, await deployer.fill_buffer())
        tx_id = await deployer.initialize(program, parameters)
        return await deployer.ended(program, tx_id, before, final=final)


async def deploy_program(
    rpc: str,
    wallet: Wallet,
    name: str,
    code: bytes,
    *,
    final: bool = True,
    say: Say = lambda _: None,
) -> Deployment:
    """Deploy any program and wait until it is final; `name` tells it from others of the wallet.

    Raises `Refuse` where the wallet cannot pay, `Retry`.
    """
    async with _Deployer(rpc, wallet, name, code, say) as deployer:
        before = await deployer.balance()
        program = await deployer.free_place()
        await deployer.check_funds([], stands=False)
        tx_id = await deployer.make_program(program, await deployer.fill_buffer())
        return await deployer.ended(program, tx_id, before, final=final)


async def send(rpc: str, wallet: Wallet, instructions: Sequence[Instruction]) -> str:
    """Send one transaction and wait until it is included; its signature. Raises `Refuse`, `Retry`."""
    async with _Deployer(rpc, wallet, "", b"", lambda _: None) as deployer:
        return await deployer.run(instructions)


@dataclass(frozen=True, slots=True)
class _Place:
    """A derived address, and the seed that it is derived with."""

    seed: str
    key: Pubkey


class _Status(msgspec.Struct, rename="camel"):
    err: Any
    confirmation_status: str | None


class _Statuses(msgspec.Struct):
    value: list[_Status | None]


class _Value(msgspec.Struct):
    value: int


class _Life(msgspec.Struct, rename="camel"):
    blockhash: str
    last_valid_block_height: int


class _Lives(msgspec.Struct):
    value: _Life


class _Preflight(msgspec.Struct):
    err: Any
    logs: list[str] | None = None


_statuses = msgspec.json.Decoder(_Statuses)
_values = msgspec.json.Decoder(_Value)
_lives = msgspec.json.Decoder(_Lives)
_numbers = msgspec.json.Decoder(int)
_texts = msgspec.json.Decoder(str)
_preflights = msgspec.json.Decoder(_Preflight)


class _Deployer:
    """One deployment over one endpoint, as an async context manager."""

    def __init__(self, rpc: str, wallet: Wallet, name: str, code: bytes, say: Say) -> None:
        self.chain = ""
        self._rpc = Rpc(SecretStr(rpc), _TIMEOUT, _MAX_ANSWER)
        self._wallet = wallet
        self._name = name
        self._code = code
        self._say = say

    async def __aenter__(self) -> Self:
        await self._rpc.__aenter__()
        try:
            self.chain = await read_chain(self._rpc)
        except BaseException:
            await self._rpc.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._rpc.__aexit__(kind, error, trace)

    # What stands

    async def finality(self) -> float:
        """Read how many seconds lie between the newest and the newest final slot."""
        newest = await self._header("confirmed")
        return newest - await self._header("finalized")

    async def _header(self, commitment: str) -> int:
        slot = await read_slot(self._rpc, commitment)
        return (await read_block(self._rpc, slot, commitment)).time

    async def balance(self) -> int:
        """Read what the wallet has."""
        params: list[object] = [str(self._wallet.key), {"commitment": "confirmed"}]
        return (await self._rpc.call("getBalance", params, _values)).value

    async def free_place(self) -> _Place:
        """Find the wallet's first address of this name where nothing is."""
        for place in self._places():
            if (await self._accounts(place.key))[0] is None:
                return place
        raise Refuse(
            f"{self._wallet.key} has deployed {_MOST} of {self._name}: use another account"
        )

    async def place(self) -> tuple[_Place, bool]:
        """Find the wallet's first program that is no hub yet, and whether its code is there already."""
        for place in self._places():
            data, config = loader.program_data(place.key), Places(place.key).config
            found = await self._accounts(place.key, data, config)
            if found[0] is None:
                return place, False
            if found[2] is None and found[1] is not None and self._is_ours(found[1]):
                return place, True
        raise Refuse(f"{self._wallet.key} has deployed {_MOST} hubs: use another account")

    def _places(self) -> Iterator[_Place]:
        for index in range(_MOST):
            seed = f"vagus {self._name} {index}"
            yield _Place(seed, loader.derived(self._wallet.key, seed))

    def _is_ours(self, data: Account) -> bool:
        """Whether a ProgramData has this very build, which the wallet may initialize."""
        code = data.data[loader.CODE_AT :].rstrip(b"\0")
        authority = data.data[13 : loader.CODE_AT] if data.data[12] else b""
        return authority == self._wallet.account and code == self._code.rstrip(b"\0")

    async def check_funds(self, made: list[int], *, stands: bool) -> None:
        """Say what it costs, and refuse to begin with too little; `made` are further accounts' sizes."""
        size, sent, sizes = len(self._code), 2, list(made)
        if not stands:
            sizes += [loader.CODE_AT + size, loader.PROGRAM_SIZE]
            sent += 2 + -(-size // _CHUNK)
        rent = sum([await self._rent(each) for each in sizes])
        fees = BASE_FEE * sent
        # The buffer's rent comes back, but is needed first: the program's is paid from it.
        self._say(
            f"Deploying {size} bytes costs {_sol(rent + fees)} SOL: {_sol(rent)} rent, and "
            f"{_sol(fees)} fees of {sent} transactions"
        )
        has = await self.balance()
        if has < rent + fees and not await self._buffered():
            raise Refuse(
                f"{self._wallet.key} has {_sol(has)} SOL and needs {_sol(rent + fees)}: fund it"
            )

    async def _buffered(self) -> bool:
        return (await self._accounts(self._buffer.key))[0] is not None

    async def _rent(self, size: int) -> int:
        return await self._rpc.call("getMinimumBalanceForRentExemption", [size], _numbers)

    # What is done

    @property
    def _buffer(self) -> _Place:
        # Named by its content: another build never goes on with this one's bytes.
        seed = f"vagus {hashlib.sha256(self._code).hexdigest()[:24]}"
        return _Place(seed, loader.derived(self._wallet.key, seed))

    async def fill_buffer(self) -> Pubkey:
        """Write what lacks in the buffer until nothing does."""
        buffer, size = self._buffer, loader.BUFFER_HEAD + len(self._code)
        if not await self._buffered():
            made = loader.make(self._wallet.key, buffer.seed, size, await self._rent(size))
            await self.run([made, loader.open_buffer(buffer.key, self._wallet.key)])
        total = -(-len(self._code) // _CHUNK)
        for _ in range(_MOST_ROUNDS):
            lacking = await self._lacking(buffer.key)
            self._say(f"Writing the program: {total - len(lacking)} of {total} parts are there")
            if not lacking:
                return buffer.key
            await self._write(buffer.key, lacking)
        raise Retry("the chain takes the program too slowly: run it again, and it goes on", 30)

    async def _lacking(self, buffer: Pubkey) -> list[int]:
        (found,) = await self._accounts(buffer)
        written = b"" if found is None else found.data[loader.BUFFER_HEAD :]
        starts = range(0, len(self._code), _CHUNK)
        return [at for at in starts if written[at : at + _CHUNK] != self._code[at : at + _CHUNK]]

    async def _write(self, buffer: Pubkey, lacking: list[int]) -> None:
        """Send parts in parallel, and wait until they are there or can't come any more."""
        life = await self._life()
        turns = asyncio.Semaphore(_AT_ONCE)

        async def send(at: int) -> str | Retry:
            part = self._code[at : at + _CHUNK]
            write = loader.write_buffer(buffer, self._wallet.key, at, part)
            try:
                async with turns:
                    return await self._send([write], life, preflight=False)
            except Retry as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(send(at), name=f"write at {at}") for at in lacking]
        ends = [task.result() for task in tasks]
        refused = [each for each in ends if isinstance(each, Retry)]
        if len(refused) == len(ends):
            raise refused[0]
        await self._until_included([each for each in ends if isinstance(each, str)], life)
        if refused:  # most often by a limit on requests: the next round sends what lacks then
            await asyncio.sleep(max(each.after for each in refused))

    async def make_program(self, program: _Place, buffer: Pubkey) -> str:
        """Make the program of the buffer; it runs from the next slot on."""
        self._say(f"Deploying the program {program.key}")
        made = loader.make(
            self._wallet.key,
            program.seed,
            loader.PROGRAM_SIZE,
            await self._rent(loader.PROGRAM_SIZE),
        )
        deployed = loader.deploy(self._wallet.key, program.key, buffer, len(self._code))
        tx_id = await self.run([made, deployed])
        await self._until("confirmed", await read_slot(self._rpc, "confirmed") + 1)
        return tx_id

    async def initialize(self, program: _Place, parameters: HubParameters) -> str:
        """Make the program a hub. Raises `Rejected` with the hub's words."""
        self._say("Initializing the hub")
        genesis = self.chain.removeprefix("solana:").encode()
        places, payer = Places(program.key), self._wallet.key
        epoch = await self._clock()
        return await self.run([hub.initialize(places, payer, genesis, parameters, epoch)])

    async def _clock(self) -> int:
        """Read the chain's time, as programs see it."""
        (found,) = await self._accounts(_CLOCK)
        if found is None or len(found.data) < _CLOCK_SIZE:
            raise BadAnswer(f"{self._rpc.name}: there is no clock")
        return int.from_bytes(found.data[_CLOCK_SIZE - 8 : _CLOCK_SIZE], "little", signed=True)

    async def run(self, instructions: Sequence[Instruction]) -> str:
        """Send one transaction and wait until it is included. Raises `Refuse`, `Retry`."""
        life = await self._life()
        signature = await self._send(instructions, life, preflight=True)
        if not await self._until_included([signature], life):
            raise Retry("a transaction was not included in time: run it again, and it goes on", 5)
        return signature

    async def ended(self, program: _Place, tx_id: str, before: int, *, final: bool) -> Deployment:
        """Drop the authority if so wanted, and wait until all is final."""
        if final:
            self._say("Dropping the upgrade authority")
            tx_id = await self.run([loader.drop_authority(program.key, self._wallet.key)])
        slot = await read_slot(self._rpc, "confirmed")
        self._say("Waiting until that is final")
        await self._until("finalized", slot)
        spent = before - await self.balance()
        return Deployment(f"{self.chain}:{program.key}", tx_id, spent, slot)

    async def _until(self, commitment: str, slot: int) -> None:
        while await read_slot(self._rpc, commitment) < slot:  # noqa: ASYNC110 - another process: it sets no event
            await asyncio.sleep(_PAUSE)

    # One transaction

    async def _life(self) -> _Life:
        params: list[object] = [{"commitment": "confirmed"}]
        return (await self._rpc.call("getLatestBlockhash", params, _lives)).value

    async def _send(
        self, instructions: Sequence[Instruction], life: _Life, *, preflight: bool
    ) -> str:
        try:
            signed = await self._wallet.sign(instructions, key_bytes(life.blockhash))
        except ValueError as error:
            raise BadAnswer(f"{self._rpc.name}: a blockhash: {error}") from None
        options = {
            "encoding": "base64",
            "skipPreflight": not preflight,
            "preflightCommitment": "confirmed",
        }
        params: list[object] = [b64encode(bytes(signed)).decode(), options]
        try:
            await self._rpc.call("sendTransaction", params, _texts)
        except NodeError as error:
            raise self._meaning(error) from None
        return str(signed.signatures[0])

    def _meaning(self, error: NodeError) -> Refuse | Retry:
        """Say what a refused transaction means."""
        if error.code != PREFLIGHT_FAILED:
            return error
        try:
            found = _preflights.decode(error.data)
        except msgspec.MsgspecError:
            return error
        logs = found.logs or []
        if cannot_pay(found.err, logs):
            return Refuse(f"{self._wallet.key} cannot pay for the deployment: fund it")
        if found.err == "BlockhashNotFound":
            return error
        return refusal(found.err, logs, failed_program(logs))

    async def _until_included(self, signatures: list[str], life: _Life) -> bool:
        """Wait until all are included, or can't be any more; whether all are. Raises `Refuse`."""
        missing = set(signatures)
        while missing:
            height = await self._rpc.call("getBlockHeight", [{"commitment": "confirmed"}], _numbers)
            asked = sorted(missing)[:256]
            params: list[object] = [asked, {"searchTransactionHistory": True}]
            found = (await self._rpc.call("getSignatureStatuses", params, _statuses)).value
            for signature, status in zip(asked, found, strict=False):
                if status is None or status.confirmation_status == "processed":
                    continue
                if status.err is not None:
                    raise refusal(status.err, [], "")
                missing.discard(signature)
            if missing and height > life.last_valid_block_height:
                return False
            if missing:
                await asyncio.sleep(_PAUSE)
        return True

    async def _accounts(self, *keys: Pubkey) -> tuple[Account | None, ...]:
        return (await read_accounts(self._rpc, keys, "confirmed", 0)).accounts


def _sol(lamports: int) -> str:
    return f"{lamports / 10**9:.6f}"
