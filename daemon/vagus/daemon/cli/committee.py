"""`vagus committee`: who the members are, and how they change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from vagus.daemon.cli.common import ConfigOption, JsonOption, asking, echo, emit, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vagus.adapters.base import HubState
    from vagus.daemon.committee.rotation import Approval, Proposal
    from vagus.daemon.config import Settings
    from vagus.daemon.member import Member
    from vagus.daemon.roster import Roster

__all__ = ["app"]

T = TypeVar("T")

app = typer.Typer(
    help="""The committee: its members, and how they change.

    One member writes a proposal (propose), as many of the current members as the hubs' threshold says
    look at it and sign it (approve), and anyone brings it onto the hubs (apply).
    """,
    no_args_is_help=True,
)

DEFAULT = Path("vagus.toml")
ProposalArgument = Annotated[Path, typer.Argument(help="As `vagus committee propose` wrote it.")]
AddOption = Annotated[
    list[Path] | None,
    typer.Option(help="Who joins: what its `vagus committee member` prints; repeat it."),
]
PinOption = Annotated[
    bool, typer.Option("--pin-agents", help="Name this node's agents, versions and configs in it.")
]


@app.command()
def show(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Print the roster, and what each hub has of it at finality."""
    from vagus.daemon.committee.changes import bound, date

    settings = _settings(config)
    roster, states = settings.committee, _states(settings)
    hubs = [_shown(hub, state, roster) for hub, state in states.items()]
    if as_json:
        table = roster.model_dump(mode="json")
        emit({"roster": table, "roster_hash": f"0x{roster.digest().hex()}", "hubs": hubs})
    else:
        echo(f"network      {roster.name}")
        echo(f"roster       0x{roster.digest().hex()}")
        for member in roster.members:
            echo(f"member       {member.signer}  transport {member.transport or 'none'}")
            for chain, address in member.addresses.items():
                echo(f"             {chain}  {address}")
        for name, agent in roster.agents.items():
            echo(f"agent        {name}  {agent.version}")
        for each in hubs:
            echo()
            echo(f"hub          {each['hub']}")
            if each["fault"] is not None:
                echo(f"             cannot be read: {each['fault']}")
                continue
            echo(f"epoch        {each['epoch']}")
            echo(f"set          {bound(len(each['signers']), each['threshold'])}")
            if each["previous_until"]:
                echo(f"set before   counts until {date(each['previous_until'])}")
            for fault in each["differs"]:
                echo(f"differs      {fault}")
            if not each["differs"]:
                echo("agrees       its set and its roster are this node's")
    if any(each["fault"] is not None for each in hubs):
        raise typer.Exit(1)


def _shown(hub: str, state: HubState | str, roster: Roster) -> dict[str, Any]:
    if isinstance(state, str):
        return {"hub": hub, "fault": state}
    differs = []
    if state.current.signers != roster.signers:
        differs.append("its signers are others than the roster's")
    if state.roster_hash != roster.digest():
        differs.append(f"its roster is 0x{state.roster_hash.hex()}")
    return {
        "hub": hub,
        "fault": None,
        "height": state.at.height,
        "epoch": state.current.epoch,
        "threshold": state.current.threshold,
        "signers": [f"0x{each.hex()}" for each in state.current.signers],
        "roster_hash": f"0x{state.roster_hash.hex()}",
        "rotated_at": state.rotated_at,
        "previous_until": state.previous_until,
        "differs": differs,
    }


@app.command()
def status(config: ConfigOption = DEFAULT, as_json: JsonOption = False) -> None:
    """Show who of the committee is here, as the running node hears them, and what is wrong.

    Behind is by how many final blocks; took part, in how many of the newest intents that ended here.
    It ends with 0 also where members are away: that is the committee's, and not this node's.
    """
    import uvloop
    from rich.console import Console

    from vagus.daemon.committee.changes import bound
    from vagus.daemon.committee.troubles import troubles
    from vagus.daemon.http_client import get, node_url
    from vagus.daemon.tables import members_table

    node = node_url(_settings(config))
    view = uvloop.run(get(node, "/v1/committee"))
    chains = uvloop.run(get(node, "/v1/chains"))["chains"]
    wrong = list(troubles(view, chains))
    if as_json:
        emit(view | {"troubles": wrong})
        return
    echo(f"this node    {view['signer']}")
    for each in view["rosters"]:
        echo(f"roster       {each}")
    for chain in chains:
        if (found := chain["committee"]) is not None:
            echo(f"hub          {chain['hub']}")
            words = bound(found["signers"], found["threshold"])
            echo(f"             epoch {found['epoch']}, {words}; {found['present']} are here")
    for each in view["transports"]:
        state = "connected" if each["connected"] else "away"
        echo(f"transport    {each['name']}: {state}, {each['received']} envelopes came")
    if view["members"]:
        echo()
        console = Console()
        console.width = max(console.width, 100)  # a signer is to be copied whole
        console.print(members_table(view["members"]))
    for words in wrong:
        echo(f"wrong        {words}")


@app.command()
def member(
    config: ConfigOption = DEFAULT,
    url: Annotated[
        str | None, typer.Option(help="Where this node serves documents, https://…; public.")
    ] = None,
) -> None:
    """Print this node's entry for a roster: its public keys, and where it is paid on each chain.

    Give it to who proposes. No secret is in it; the keys are opened to derive what is.
    """
    from vagus.daemon.config import ConfigError
    from vagus.daemon.member import Member
    from vagus.daemon.strict_json import faults

    settings = _settings(config)
    if settings.transport_key is None:
        todo = "name a keystore under [transport_key]; `vagus keys new` makes one"
        raise ConfigError([f"{config}: no transport key: {todo}"])
    key = settings.transport_key.open()
    try:
        own = Member(
            signer=f"0x{settings.signer.open_signer().address.hex()}",
            transport=f"0x{key.address.hex()}",
            x25519=f"0x{key.x25519.hex()}",
            url=url,
            addresses={
                each.chain: each.address for each in settings.adapters() if any(each.account)
            },
        )
    except ValueError as error:
        raise ConfigError([f"--{each}" for each in faults(error)]) from None
    emit(own.model_dump(mode="json"))


@app.command()
def roster(
    proposal: Annotated[
        Path | None, typer.Argument(help="Of this proposal, instead of the config's.")
    ] = None,
    config: ConfigOption = DEFAULT,
    add: AddOption = None,
    name: Annotated[str | None, typer.Option(help="The network's name.")] = None,
    pin_agents: PinOption = False,
) -> None:
    """Print a roster's document, as `roster_file` names it; its digest is the hubs' rosterHash.

    With --add it is a first committee's, before there is a hub: deploy that with the signers and the
    digest that are said.
    """
    from vagus.daemon.committee.proposing import changed, pinned

    if proposal is not None:
        found = _proposal(proposal).roster
    else:
        settings = _settings(config)
        found = changed(settings.committee, _members(add), name=name)
        found = pinned(found, settings.agent_registry()) if pin_agents else found
    if add or name or pin_agents:
        signers = " ".join(f"--signer {each.signer}" for each in found.members)
        say(f"vagus hub deploy {signers} --threshold … --roster-hash 0x{found.digest().hex()}")
    echo(found.document().decode())


@app.command()
def propose(
    out: Annotated[Path, typer.Argument(help="The proposal; never written over another file.")],
    config: ConfigOption = DEFAULT,
    add: AddOption = None,
    remove: Annotated[
        list[str] | None, typer.Option(help="Who leaves, by its signer; repeat it.")
    ] = None,
    threshold: Annotated[
        int | None, typer.Option(help="Signatures that hubs want from then on; as now if absent.")
    ] = None,
    roster: Annotated[
        Path | None, typer.Option(help="The whole new roster, a JSON file, instead.")
    ] = None,
    pin_agents: PinOption = False,
    end_grace: Annotated[
        bool,
        typer.Option(
            "--end-grace",
            help="Rotate hubs that have it already too: the set before stops counting at once.",
        ),
    ] = False,
    after: Annotated[
        int, typer.Option(min=0, max=90 * 86_400, help="Seconds until hubs take it.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write a proposal: the next roster, and a rotation for each hub that has another one.

    --add also replaces the entry of a member: its transport key, its addresses. Signs nothing.
    Lines that begin with ! are what hubs take and the members may not want.
    """
    from vagus.daemon.committee.changes import bound, cautions, differences
    from vagus.daemon.committee.proposing import changed, following, pinned
    from vagus.daemon.committee.proposing import propose as make
    from vagus.daemon.config import ConfigError, read_roster_file

    settings = _settings(config)
    if roster is not None and (add or remove or pin_agents):
        raise ConfigError(
            ["--roster gives the whole roster: leave --add, --remove, --pin-agents out"]
        )
    if out.exists():
        raise ConfigError([f"{out} exists: name another file, or remove it"])
    if roster is not None:
        new = read_roster_file(roster)
    else:
        new = changed(settings.committee, _members(add), remove or ())
        new = pinned(new, settings.agent_registry()) if pin_agents else new
        new = following(new, settings.committee)
    states = _states(settings)
    made = make(new, threshold, states, profile=settings.profile, after=after, again=end_grace)
    _write(out, made.document())
    shown = {
        "proposal": f"0x{made.id.hex()}",
        "file": str(out),
        "roster_hash": f"0x{new.digest().hex()}",
        "set": bound(len(new.members), made.threshold),
        "hubs": [each.model_dump(mode="json") for each in made.hubs],
        "changes": list(differences(settings.committee, new)),
        "cautions": list(cautions(made)),
    }
    if as_json:
        emit(shown)
        return
    _tell(made, settings, states)
    say(f"wrote {out}: give it to the members; each reads it and signs: vagus committee approve")


@app.command()
def approve(
    proposal: ProposalArgument,
    config: ConfigOption = DEFAULT,
    out: Annotated[
        Path | None, typer.Option(help="The approval; beside the proposal if absent.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Show in words what a proposal changes, ask, and sign its rotations with this node's signer.

    What is signed is held against the hubs as this node's own endpoints show them, and kept in the data
    folder: for one epoch of a hub a member approves one proposal. The running node hands the approval
    to the other members, where its config names http.tokens_file.
    """
    import uvloop

    from vagus.daemon.committee.approving import ROTATIONS, hubs_to_sign
    from vagus.daemon.committee.approving import approve as sign
    from vagus.daemon.committee.proposing import require_profile
    from vagus.daemon.committee.rotation import rotation_body
    from vagus.daemon.config import ConfigError
    from vagus.daemon.http_client import hand_over
    from vagus.daemon.owner import require_node_user
    from vagus.protocol import VagusError

    settings, made = _settings(config), _proposal(proposal)
    require_node_user(settings)
    require_profile(settings.profile, made.threshold)
    signer = settings.signer.open_signer()
    out = out or proposal.with_name(f"{proposal.stem}.{signer.address.hex()[:8]}.approval.json")
    if out.exists():
        raise ConfigError([f"{out} exists: name another file by --out, or remove it"])
    states = _states(settings)
    hubs = hubs_to_sign(made, signer.address, states)
    _tell(made, settings, states)
    if not yes:
        with asking("nothing was signed: give --yes, or answer the question"):
            if not typer.confirm(f"Sign this as 0x{signer.address.hex()}?", err=True):
                raise VagusError("nothing was signed")
    approval = uvloop.run(sign(made, hubs, signer, settings.data / ROTATIONS))
    _write(out, approval.document())
    say(f"wrote {out}: give it to who applies the proposal")
    try:
        uvloop.run(hand_over(settings, rotation_body(made, approval)))
        say("the running node tells the other members too")
    except (VagusError, ValueError) as error:
        say(f"the running node does not tell the other members: {error}")


@app.command()
def apply(
    proposal: ProposalArgument,
    approvals: Annotated[
        list[Path] | None,
        typer.Argument(help="The members' approvals; if absent, what the running node has heard."),
    ] = None,
    config: ConfigOption = DEFAULT,
    keystore: Annotated[
        Path | None, typer.Option(help="Who pays; keys/user.json beside the config.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="Its password; keys/password beside the config.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send the rotation to each hub that has not got it, and wait until it is final there.

    Run it again at any time: it goes on where it was, and leaves alone what is done. It ends with 0
    once every hub has the new set, and with 1 while one has not, and says why. Any account with coins
    may pay, but not the node's own.
    """
    import uvloop

    from vagus.daemon.committee.applying import Standing
    from vagus.daemon.committee.applying import apply as bring
    from vagus.daemon.payer import paying

    settings, made = _settings(config), _proposal(proposal)
    given = [_approval(path) for path in approvals] if approvals else _heard(settings, made)
    keys = config.resolve().parent / "keys"
    adapters = paying(
        settings,
        keystore or keys / "user.json",
        password_file or keys / "password",
        "to pay with",
    )
    done = uvloop.run(bring(made, given, adapters, say))
    if as_json:
        emit(
            {
                "proposal": f"0x{made.id.hex()}",
                "hubs": [
                    {"hub": e.hub, "standing": e.standing, "words": e.words, "tx": e.tx_id}
                    for e in done
                ],
            }
        )
    else:
        for each in done:
            echo(f"{each.hub}  {each.standing}: {each.words}")
    if lagging := [each.hub for each in done if each.standing is not Standing.IN_FORCE]:
        say(f"{len(lagging)} of {len(done)} hubs lag behind: mend what is said, and run it again")
        raise typer.Exit(1)
    say(
        "every hub has the new set: each member takes the roster (vagus committee roster) and restarts"
    )


def _settings(config: Path) -> Settings:
    from vagus.daemon.config import load
    from vagus.daemon.service.logs import set_up

    set_up("critical", "console")  # what an adapter would log, the error says
    return load(config)


def _states(settings: Settings) -> dict[str, HubState | str]:
    import uvloop

    from vagus.daemon.committee.applying import read_states

    return uvloop.run(read_states(settings.reading().adapters()))


def _tell(proposal: Proposal, settings: Settings, states: dict[str, HubState | str]) -> None:
    """Say what a proposal changes: of the roster that this node has, and on each hub."""
    from vagus.daemon.committee.changes import bound, cautions, date, differences, set_changes

    old, new = settings.committee, proposal.roster
    say(f"proposal  0x{proposal.id.hex()}")
    say(f"roster    0x{new.digest().hex()}, of network {new.name}")
    for line in differences(old, new):
        say(f"  {line}")
    say(f"set       {bound(len(new.members), proposal.threshold)}")
    for change in proposal.hubs:
        state = states[change.hub]
        window = f"{date(change.valid_from)} to {date(change.until)}"
        say(f"hub       {change.hub}: epoch {change.epoch}, to be sent from {window}")
        if isinstance(state, str):
            continue
        for line in set_changes(state.current, proposal):
            say(f"  {line}")
        stay = len({*state.current.signers} & {*new.signers})
        if stay < proposal.threshold:
            say(f"  ! {stay} of its members stay, and {proposal.threshold} sign from then on: what")
            say("    is under way then may end in refunds; change fewer at once")
        if state.roster_hash != old.digest():
            say(f"  ! its roster 0x{state.roster_hash.hex()} is not this node's")
    for hub in sorted(states.keys() - {each.hub for each in proposal.hubs}):
        say(f"hub       {hub}: stays as it is")
    for line in cautions(proposal):
        say(f"!         {line}")


def _members(paths: Sequence[Path] | None) -> list[Member]:
    from vagus.daemon.member import read_member

    return [_document(path, read_member) for path in paths or ()]


def _proposal(path: Path) -> Proposal:
    from vagus.daemon.committee.rotation import read_proposal

    return _document(path, read_proposal)


def _approval(path: Path) -> Approval:
    from vagus.daemon.committee.rotation import read_approval

    return _document(path, read_approval)


def _heard(settings: Settings, proposal: Proposal) -> list[Approval]:
    """Return the approvals that the running node has heard of. Raises ConfigError."""
    import uvloop

    from vagus.daemon.committee.rotation import Approval
    from vagus.daemon.config import ConfigError
    from vagus.daemon.http_client import NodeError, get, node_url

    path = f"/v1/rotations/0x{proposal.id.hex()}"
    try:
        found = uvloop.run(get(node_url(settings), path))
        return [Approval.model_validate(each) for each in found["approvals"]]
    except (NodeError, ValueError, KeyError, TypeError) as error:
        words = f"name the members' approvals: the running node has none of them ({error})"
        raise ConfigError([words]) from None


def _document(path: Path, read: Callable[[bytes], T]) -> T:
    """Read a document that somebody handed over. Raises ConfigError."""
    from vagus.daemon.config import ConfigError
    from vagus.daemon.strict_json import faults

    try:
        return read(path.read_bytes())
    except OSError as error:
        raise ConfigError([f"{path} cannot be read ({error.strerror})"]) from None
    except ValueError as error:
        raise ConfigError([f"{path}: {each}" for each in faults(error)]) from None


def _write(path: Path, document: bytes) -> None:
    from vagus.daemon.config import ConfigError

    try:
        with path.open("xb") as file:
            file.write(document + b"\n")
    except OSError as error:
        raise ConfigError([f"{path} cannot be written ({error.strerror})"]) from None
