"""The committed program goes through the upgradeable loader, as on any cluster, and works there."""

from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from support.hub import members
from support.hub_solana import SolanaHub, person
from support.litesvm import LOADER, LiteChain
from support.solana_idl import build

CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
SYSTEM = Pubkey.default()
CHUNK = 900
BUFFER_HEAD, PROGRAM = 37, 36  # bytes of the loader's accounts


def loader(number: int, arguments: bytes, *metas: AccountMeta) -> Instruction:
    """An instruction of the loader: its number, then its arguments, as bincode has them."""
    return Instruction(LOADER, number.to_bytes(4, "little") + arguments, list(metas))


def deploy(chain: LiteChain, code: bytes, program: Keypair, authority: Keypair) -> None:
    """Write the code into a buffer and make it a program."""
    owner, buffer = authority.pubkey(), person("buffer")
    rent = chain.svm.minimum_balance_for_rent_exemption

    def created(pair: Keypair, size: int) -> Instruction:
        return create_account(
            CreateAccountParams(
                from_pubkey=owner,
                to_pubkey=pair.pubkey(),
                lamports=rent(size),
                space=size,
                owner=LOADER,
            )
        )

    place = AccountMeta(buffer.pubkey(), False, True)
    initialized = loader(0, b"", place, AccountMeta(owner, False, False))
    chain.send([created(buffer, BUFFER_HEAD + len(code)), initialized], [authority, buffer])
    for at in range(0, len(code), CHUNK):
        part = code[at : at + CHUNK]
        data = at.to_bytes(4, "little") + len(part).to_bytes(8, "little") + part
        chain.send([loader(1, data, place, AccountMeta(owner, True, False))], [authority])
    data_key, _ = Pubkey.find_program_address([bytes(program.pubkey())], LOADER)
    deployed = loader(
        2,
        len(code).to_bytes(8, "little"),
        AccountMeta(owner, True, True),
        AccountMeta(data_key, False, True),
        AccountMeta(program.pubkey(), False, True),
        place,
        AccountMeta(RENT, False, False),
        AccountMeta(CLOCK, False, False),
        AccountMeta(SYSTEM, False, False),
        AccountMeta(owner, True, False),
    )
    chain.send([created(program, PROGRAM), deployed], [authority, program])


def test_the_loader_verifies_and_takes_the_committed_program(chain: LiteChain):
    program, authority = person("deployed"), person("authority")
    hub = SolanaHub(chain, program.pubkey(), members(4), 3)
    deploy(chain, build("hub"), program, authority)
    chain.at(hub.now + 1)  # a program is callable from the next slot on
    found = chain.account(program.pubkey())
    assert isinstance(found, Account)
    assert found.executable
    hub.initialize()
    intent = hub.intent()
    hub.deliver(intent)
    assert hub.delivery(intent)


def test_a_hub_whose_upgrade_authority_is_given_away_works_on(chain: LiteChain):
    program, authority = person("deployed"), person("authority")
    hub = SolanaHub(chain, program.pubkey(), members(4), 3)
    deploy(chain, build("hub"), program, authority)
    chain.at(hub.now + 1)
    hub.initialize()
    data_key, _ = Pubkey.find_program_address([bytes(program.pubkey())], LOADER)
    given = loader(
        4,
        b"",
        AccountMeta(data_key, False, True),
        AccountMeta(authority.pubkey(), True, False),
    )
    chain.send([given], [authority])
    found = chain.account(data_key)
    assert found
    assert bytes(found.data)[12] == 0
    intent = hub.ask()
    hub.settle(intent, [])
    assert hub.credit(hub.alice) == 5000
