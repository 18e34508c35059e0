"""A journal is lost and an older backup restored: the node signs no second outcome of anything."""

import asyncio
import shutil
from pathlib import Path

import orjson
import pytest

from support.client import Client, until
from support.node import Node, vagus
from support.node_devnet import Devnet
from support.node_model import StubModel

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("e2e_restore"),
]

LEFT = "asked before the journal was restored, which has no outcome of it"


async def test_after_a_restore_nothing_is_decided_again_and_new_questions_are_answered(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant("lost", backends=stub.backends)
    data, backup = devnet.folder / "lost", tmp_path / "backup"
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        settled = await client.ask("settled in the backup")
        await node.reaches(settled.hex, "settled")
        # One that waits for its model when the backup is taken, and one that is asked after it:
        # the node decides, signs and delivers both, and then its journal is gone.
        stub.open.clear()
        undecided = await client.ask("undecided in the backup")
        await until(lambda: asyncio.sleep(0, stub.asked["undecided in the backup"]), bool)
        code, _, err = await vagus("backup", backup, "--config", config)
        assert code == 0, err
        stub.open.set()
        since = await client.ask("decided since the backup")
        for asked in (undecided, since):
            await node.reaches(asked.hex, "settled")
        stub.open.clear()
        # A third has not been answered when the node is killed.
        unanswered = await client.ask("unanswered when the node was killed")
        prompt = "unanswered when the node was killed"
        await until(lambda: asyncio.sleep(0, stub.asked[prompt]), bool)
        await node.kill()
        stub.open.set()
        shutil.rmtree(data)

        code, out, err = await vagus("restore", backup, "--config", config, "--json")
        assert code == 0, err
        assert '"left":1' in out
        before = dict(stub.asked)
        sent = [await chain.sent(devnet.account) for chain in client.chains]
        await node.start()
        # What was asked since, killed once more before it can be read, changes nothing.
        await node.kill()
        await node.start()
        for asked in (undecided, since, unanswered):
            shown = await node.reaches(asked.hex, "left")
            assert shown["reason"].startswith(LEFT)
            assert shown["evidence_hash"] is None
        assert (await node.intent(settled.hex))["stage"] == "settled"

        new = await client.ask("asked of the restored node")
        await node.reaches(new.hex, "settled")
        assert stub.asked == {**before, "asked of the restored node": 1}
        # One delivery each, and nothing was sent for what the lost journal had decided.
        for asked, deliveries in ((settled, 1), (undecided, 1), (since, 1), (unanswered, 0)):
            assert len(await client.events("Delivered", asked)) == deliveries
        now = [await chain.sent(devnet.account) for chain in client.chains]
        assert [after - earlier for after, earlier in zip(now, sent, strict=True)] == [1, 1]


async def test_what_the_backup_has_decided_goes_on_with_the_same_outcome(
    devnet: Devnet, client: Client, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant("decided", backends=stub.backends)
    data, backup = devnet.folder / "decided", tmp_path / "backup"
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        await idle(node)
        await node.kill()
        await node.start(failpoint="attested")
        prompt = "decided in the backup and not delivered"
        asked = await client.ask(prompt)
        assert await node.ended() == -9
        assert (await vagus("backup", backup, "--config", config))[0] == 0
        # The node delivers and settles it; then its journal is gone.
        await node.start()
        ended = await node.reaches(asked.hex, "settled")
        await node.kill()
        shutil.rmtree(data)
        assert (await vagus("restore", backup, "--config", config))[0] == 0
        await node.start()
        again = await until(
            lambda: node.intent(asked.hex), lambda shown: shown["stage"] in {"settled", "closed"}
        )
        for field in ("output", "output_hash", "evidence_hash", "status"):
            assert again[field] == ended[field]
        assert stub.asked[prompt] == 1
        assert len(await client.events("Delivered", asked)) == 1


async def idle(node: Node) -> None:
    """Wait until it has nothing to do: a new journal reads what other tests have left open."""

    async def stages() -> set[str]:
        _, body = await node.get("/v1/intents?limit=500")
        return {each["stage"] for each in orjson.loads(body)["intents"]}

    await until(stages, {"settled", "closed", "left", "orphaned"}.issuperset)


async def test_a_folder_in_use_is_not_restored_into(
    devnet: Devnet, stub: StubModel, tmp_path: Path
) -> None:
    config = devnet.variant("in-use", backends=stub.backends)
    async with Node(config, tmp_path / "log") as node:
        await node.start()
        assert (await vagus("backup", tmp_path / "backup", "--config", config))[0] == 0
        code, _, err = await vagus("restore", tmp_path / "backup", "--config", config)
        assert code == 4
        assert f"is in use by process {node.pid}" in err
