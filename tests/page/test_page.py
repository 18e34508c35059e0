"""The page in a real Chromium, over a real API and journal: live, inert, usable by keyboard and ear."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey
from playwright.async_api import Browser, Locator, Page, expect

from support.browser import Tab, opened
from support.npm import installed
from support.pipelines import two_chains
from support.served import Served, serving
from vagus.daemon.journal.records import IntentRecord, Stage
from vagus.daemon.survey import Balance
from vagus.protocol import Status

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.xdist_group("page"),
]

NOT_KNOWN = "\N{EN DASH}"
WALK = [
    Stage.FINAL,
    Stage.ROUTED,
    Stage.EXECUTED,
    Stage.ATTESTED,
    Stage.SUBMITTED,
    Stage.CONFIRMED,
    Stage.SETTLING,
    Stage.SETTLED,
]
HOSTILE = [
    '<script>document.title="owned"</script>',
    "<img src=x onerror=\"document.title='owned'\">",
    "</pre><iframe src=javascript:alert(1)></iframe>",
    "javascript:alert(1)",
    "{{constructor.constructor('alert(1)')()}}",
    "safe \u202etxt.exe\u202c and \u2066hidden\u2069 \u200b\u0000\u001b[31m \U000e0041",
]


async def walk(node: Served, record: IntentRecord, to: Stage, answer: bytes = b"Paris") -> None:
    """Carry an intent's record on, as a pipeline does."""
    for stage in WALK[: WALK.index(to) + 1]:
        if stage > record.stage:
            fixed = {"status": Status.FULFILLED, "output": answer}
            changes: dict[str, Any] = fixed if stage == Stage.EXECUTED else {}
            await node.journal.move(record, stage, **changes)


def hex_of(record: IntentRecord) -> str:
    return "0x" + record.id.hex()


def column(page: Page, stage: str) -> Any:
    return page.locator(f"#board li.stage.{stage}")


async def test_an_intent_walks_over_the_board_without_a_reload(node: Served, tab: Tab) -> None:
    await tab.open()
    await tab.page.evaluate("window.stays = true")
    (record,) = await node.observe(1)
    for stage in ("observed", "final", "routed", "executed", "attested"):
        if stage != "observed":
            await walk(node, record, Stage[stage.upper()])
        card = column(tab.page, stage).locator(f'a[href="#/intent/{hex_of(record)}"]')
        await expect(card).to_be_visible()
        await expect(column(tab.page, stage).locator(".count")).to_have_text("1")
    await walk(node, record, Stage.SETTLED)
    await expect(column(tab.page, "ended").locator("a")).to_contain_text("fulfilled")
    await expect(tab.page.locator("#rows tr")).to_contain_text("Paris")
    assert await tab.page.evaluate("window.stays") is True


async def test_an_empty_node_says_how_to_ask(tab: Tab) -> None:
    await tab.open()
    await expect(tab.page.locator("#empty")).to_contain_text("vagus intent send")
    await expect(tab.page.locator("#board-sum")).to_have_text("0 under way, 0 ended")
    await expect(tab.page.locator("#ready")).to_have_text("Ready")


async def test_a_node_that_is_not_ready_says_why(node: Served, tab: Tab) -> None:
    await tab.open()
    node.network.faults["eip155:1"] = "halted: a final block was <b>replaced</b>"
    await expect(tab.page.locator("#ready")).to_have_text("Not ready")
    await expect(tab.page.locator("#why")).to_have_text(
        "eip155:1: halted: a final block was <b>replaced</b>"
    )
    node.network.faults.clear()
    await expect(tab.page.locator("#ready")).to_have_text("Ready")


async def test_a_whole_story_is_told(node: Served, tab: Tab) -> None:
    (record,) = await node.observe(1, payload=b'{"prompt":"Which city?"}')
    await walk(node, record, Stage.EXECUTED)
    await tab.open(f"/#/intent/{hex_of(record)}")
    story = tab.page.locator("#story")
    await expect(story.get_by_role("heading", level=1)).to_have_text("Intent")
    await expect(story.locator(".timeline li .name")).to_have_text(
        ["observed", "final", "routed", "executed"]
    )
    await expect(
        story.get_by_role("region", name="Question", exact=True).locator("pre")
    ).to_have_text('{"prompt":"Which city?"}')
    await walk(node, record, Stage.SETTLED)
    await expect(story.locator(".timeline li")).to_have_count(9)
    await expect(story.locator(".tag.big")).to_have_text("fulfilled")


async def test_the_address_of_a_story_can_be_shared_and_left_again(node: Served, tab: Tab) -> None:
    (record,) = await node.observe(1)
    await tab.open()
    link = tab.page.locator(f'#rows a[href="#/intent/{hex_of(record)}"]')
    await link.click()
    await expect(tab.page).to_have_url(f"{tab.root}/#/intent/{hex_of(record)}")
    await expect(tab.page.locator("#story-title")).to_be_focused()
    await tab.page.go_back()
    await expect(tab.page.locator("#overview")).to_be_visible()
    await tab.page.goto(f"{tab.root}/#/intent/0x{'12' * 32}")
    await expect(tab.page.locator("#story")).to_contain_text("has not seen that intent")
    tab.complaints = [each for each in tab.complaints if "404" not in each]


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_strangers_text_is_text(node: Served, tab: Tab, text: str) -> None:
    (record,) = await node.observe(1, payload=text.encode())
    await walk(node, record, Stage.EXECUTED, answer=text.encode())
    await node.journal.move(record, Stage.CLOSED, note=text, reason=text)
    await tab.open()
    await tab.page.locator("#rows a").click()
    story = tab.page.locator("#story")
    for name in ("Question", "Answer"):
        shown = (
            await story.get_by_role("region", name=name, exact=True).locator("pre").text_content()
        )
        assert shown == seen(text)
    assert await tab.page.locator("#story script, #story img, #story iframe").count() == 0
    assert await tab.page.title() != "owned"
    await (
        story.get_by_role("region", name="Question", exact=True)
        .get_by_role("button", name="Show bytes")
        .click()
    )
    dump = (
        await story.get_by_role("region", name="Question", exact=True).locator("pre").text_content()
        or ""
    )
    pairs = "".join(line[6:53].replace(" ", "") for line in dump.splitlines())
    assert bytes.fromhex(pairs) == text.encode()


def seen(text: str) -> str:
    """What a reader sees of a text: each character that hides or turns others, by its number."""
    import unicodedata

    hidden = {"Cc", "Cf", "Zl", "Zp"}
    return "".join(
        f"U+{ord(each):04X}"
        if unicodedata.category(each) in hidden and each not in "\t\n"
        else each
        for each in text
    )


async def test_bytes_that_are_no_text_are_shown_as_bytes(node: Served, tab: Tab) -> None:
    (record,) = await node.observe(1, payload=b"\xff\xfe\x00A")
    await tab.open(f"/#/intent/{hex_of(record)}")
    question = tab.page.locator("#story").get_by_role("region", name="Question", exact=True)
    await expect(question.locator("pre")).to_contain_text("ff fe 00 41")
    await expect(question).to_contain_text("4 bytes, no UTF-8 text")


async def test_the_keyboard_reaches_an_intent_and_comes_back(node: Served, tab: Tab) -> None:
    (record,) = await node.observe(1)
    await tab.open()
    await expect(tab.page.locator("#rows a")).to_be_visible()
    names = []
    for _ in range(8):
        await tab.page.keyboard.press("Tab")
        names.append(
            await tab.page.evaluate("document.activeElement.textContent.trim().slice(0, 20)")
        )
    assert names[0] == "Skip to the content"
    assert names[1:4] == ["vagus", "Pause", "Skip to the table"]
    focused = tab.page.locator(":focus")
    assert await focused.evaluate("each => getComputedStyle(each).outlineStyle") == "solid"
    link = tab.page.locator(f'#board a[href="#/intent/{hex_of(record)}"]')
    await link.focus()
    await walk(node, record, Stage.ROUTED)
    await expect(column(tab.page, "routed").locator("a")).to_be_focused()  # it walks, focus stays
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.locator("#story-title")).to_be_focused()
    await tab.page.keyboard.press("Shift+Tab")
    await tab.page.keyboard.press("Enter")
    await expect(link).to_be_focused()


async def test_a_skip_link_skips_and_changes_nothing_else(node: Served, tab: Tab) -> None:
    (record,) = await node.observe(1)
    await tab.open(f"/#/intent/{hex_of(record)}")
    await expect(tab.page.locator("#story-title")).to_be_visible()
    await tab.page.locator("a.skip").first.focus()
    await tab.page.keyboard.press("Enter")
    await expect(tab.page.locator("#main")).to_be_focused()
    await expect(tab.page.locator("#story-title")).to_be_visible()


async def test_a_screen_reader_finds_landmarks_headings_and_tables(node: Served, tab: Tab) -> None:
    await node.observe(1)
    await tab.open()
    await expect(tab.page.locator("#rows tr")).to_have_count(1)
    page = tab.page
    for role, name in (
        ("main", None),
        ("banner", None),
        ("contentinfo", None),
        ("navigation", "Data"),
        ("search", "Intents"),
        ("table", "Intents this node has seen, newest first"),
        ("status", None),
        ("region", "Intents by stage"),
        ("region", "Chains"),
        ("region", "Models"),
    ):
        found = page.get_by_role(role, name=name) if name else page.get_by_role(role)  # type: ignore[arg-type]
        await expect(found.first).to_be_attached()
    headers = await page.get_by_role("columnheader").all_inner_texts()
    assert headers == ["Intent", "From, to", "Agent", "Stage", "Answer or reason", "Seen"]
    await expect(page.get_by_role("rowheader")).to_have_count(1)
    assert await page.locator("h1").count() == 1
    assert await page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_to_object_to(browser: Browser, node: Served, scheme: str) -> None:
    axe = (installed(Path(__file__).parent, "axe") / "axe-core" / "axe.min.js").read_text()
    records = await node.observe(*range(1, 13))
    for record, stage in zip(records, [*WALK, *WALK[:3]], strict=False):
        await walk(node, record, stage)
    await node.journal.move(records[-1], Stage.LEFT, reason="left to its refund")
    node.network.faults["eip155:1"] = "does not answer"
    # At rest: in the middle of a fade no colour is one of the page's.
    async with opened(browser, node.root, color_scheme=scheme, reduced_motion="reduce") as tab:
        for path in ("/", f"/#/intent/{hex_of(records[4])}"):
            await tab.open(path)
            await tab.page.locator("#rows tr, #story-title").first.wait_for(state="attached")
            await expect(tab.page.locator("#ready")).to_have_text("Not ready")
            await tab.page.evaluate(axe)
            found = await tab.page.evaluate("axe.run({resultTypes: ['violations']})")
            objections = [
                (each["id"], [node["html"] for node in each["nodes"]])
                for each in found["violations"]
            ]
            assert objections == []
            assert len(found["passes"]) > 10


async def test_what_is_said_aloud_is_little(node: Served, tab: Tab) -> None:
    await tab.open()
    await tab.page.evaluate(
        """() => { window.heard = [];
        new MutationObserver(() => heard.push(said.textContent)).observe(said, {childList: true}); }"""
    )
    records = await node.observe(*range(1, 31))
    async with asyncio.TaskGroup() as group:
        for record in records:
            group.create_task(walk(node, record, Stage.SETTLED), name="walk")
    await expect(tab.page.locator("#said")).to_contain_text("ended: fulfilled")
    heard = await tab.page.evaluate("heard")
    assert len(heard) <= 2, heard  # thirty ended; a reader hears a sentence, not thirty
    assert "more" in heard[0]


async def test_a_paused_page_stands_still_and_then_catches_up(node: Served, tab: Tab) -> None:
    await tab.open()
    pause = tab.page.get_by_role("button", name="Pause")
    await pause.click()
    await expect(pause).to_have_attribute("aria-pressed", "true")
    (record,) = await node.observe(1)
    await tab.page.wait_for_function("performance.now() > 0")
    await walk(node, record, Stage.FINAL)
    await expect(tab.page.locator("#rows tr")).to_have_count(0)
    await pause.click()
    await expect(column(tab.page, "final").locator("a")).to_have_count(1)


async def test_who_wants_no_motion_sees_none(browser: Browser, node: Served) -> None:
    async with opened(browser, node.root, reduced_motion="reduce") as tab:
        await tab.open()
        await tab.page.evaluate(
            "window.moves = 0; Element.prototype.animate = () => { window.moves++ }; null"
        )
        (record,) = await node.observe(1)
        await walk(node, record, Stage.ROUTED)
        await expect(column(tab.page, "routed").locator("a")).to_have_count(1)
        assert await tab.page.evaluate("moves") == 0


async def test_a_phone_shows_all_without_scrolling_sideways(browser: Browser, node: Served) -> None:
    records = await node.observe(*range(1, 9))
    for record, stage in zip(records, WALK, strict=True):
        await walk(node, record, stage, answer=b"long " * 200)
    async with opened(browser, node.root, viewport={"width": 360, "height": 740}) as tab:
        for path in ("/", f"/#/intent/{hex_of(records[5])}"):
            await tab.open(path)
            await tab.page.locator("#rows tr, #story-title").first.wait_for(state="attached")
            wide = await tab.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 360


async def test_ten_thousand_intents_are_counted_and_a_few_are_shown(node: Served, tab: Tab) -> None:
    for first in range(1, 10_001, 2_000):
        await node.observe(*range(first, first + 2_000))
    await tab.open()
    await expect(column(tab.page, "observed").locator(".count")).to_have_text("10,000")
    await expect(column(tab.page, "observed").locator(".more")).to_have_text("and 9,995 more")
    assert await tab.page.evaluate("document.querySelectorAll('*').length") < 1500
    for _ in range(10):
        await tab.page.get_by_role("button", name="Show more").click()
    await expect(tab.page.locator("#rows tr")).to_have_count(500)
    await expect(tab.page.get_by_role("button", name="Show more")).to_be_hidden()


async def test_a_flood_is_followed_to_its_end(node: Served, tab: Tab) -> None:
    await tab.open()
    records = await node.observe(*range(1, 2_001))
    for first in range(0, 2_000, 250):
        async with asyncio.TaskGroup() as group:
            for record in records[first : first + 250]:
                group.create_task(walk(node, record, Stage.SETTLED), name="walk")
    await expect(column(tab.page, "ended").locator(".count")).to_have_text("2,000")
    for stage in ("observed", *(each.name.lower() for each in WALK[:-1])):
        await expect(column(tab.page, stage).locator(".count")).to_have_text("0")
        await expect(column(tab.page, stage).locator("a")).to_have_count(0)
    assert await tab.page.evaluate("document.querySelectorAll('*').length") < 1500


async def test_a_stage_and_an_id_can_be_looked_for(node: Served, tab: Tab) -> None:
    records = await node.observe(*range(1, 6))
    await walk(node, records[2], Stage.ROUTED)
    await tab.open()
    await tab.page.get_by_role("combobox", name="Stage").select_option("routed")
    await expect(tab.page.locator("#rows tr")).to_have_count(1)
    box = tab.page.get_by_label("Intent id")
    await box.fill("0x12")
    await box.press("Enter")
    await expect(tab.page.get_by_role("alert")).to_have_text(
        "An intent's id is 0x and 64 hex digits."
    )
    await box.fill(hex_of(records[4]))
    await box.press("Enter")
    await expect(tab.page.locator("#story .id")).to_have_text(hex_of(records[4]))


async def test_a_page_comes_back_by_itself_and_has_missed_nothing(
    browser: Browser, tmp_path: Path
) -> None:
    async with serving(tmp_path) as node:
        (record,) = await node.observe(1)
        port = node.port
        context = opened(browser, node.root, outages=True)
        tab = await context.__aenter__()
        await tab.open()
        await expect(column(tab.page, "observed").locator("a")).to_have_count(1)
        await tab.page.evaluate("window.stays = true")
    await expect(tab.page.locator("#stream")).to_contain_text("trying again")
    async with serving(tmp_path, port=port) as node:
        await walk(node, record, Stage.ATTESTED)
        await expect(column(tab.page, "attested").locator("a")).to_have_count(1)
        await expect(tab.page.locator("#stream")).to_have_text("Live")
        assert await tab.page.evaluate("window.stays") is True
        await context.__aexit__(None, None, None)


async def test_every_row_of_one_block_shows_its_answer_in_the_order_of_the_list(
    node: Served, tab: Tab
) -> None:
    await tab.open()
    records = await node.observe(*range(1, 188))  # one reading: all of them are seen at one time
    async with asyncio.TaskGroup() as group:
        for record in records:
            answer = f"answer {record.intent.seq}".encode()
            group.create_task(walk(node, record, Stage.SETTLED, answer), name="walk")
    await expect(column(tab.page, "ended").locator(".count")).to_have_text("187")
    for shown in (25, 75):
        await expect(tab.page.locator("#rows tr")).to_have_count(shown)
        _, listed = await node.json(f"/v1/intents?limit={shown}")
        links = [f"#/intent/{each['id']}" for each in listed["intents"]]
        answers = [f"answer {each['seq']}" for each in listed["intents"]]
        rows = tab.page.locator("#rows")
        assert await rows.locator("a").evaluate_all("all => all.map(a => a.hash)") == links
        await expect(rows.locator(".said")).to_have_text(answers)
        await tab.page.get_by_role("button", name="Show more").click()


async def test_counts_hold_for_who_comes_between_two_statuses(
    browser: Browser, node: Served, tab: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus.daemon.api.live.STATUS_SECONDS", 600)
    await tab.open()
    await expect(tab.page.locator("#ready")).to_have_text("Ready")
    records = await node.observe(*range(1, 6))
    for record in records:
        await walk(node, record, Stage.ROUTED)
    async with opened(browser, node.root) as late:
        await late.open()
        await expect(late.page.locator("#ready")).to_have_text("Ready")
        await walk(node, records[0], Stage.EXECUTED)
        for page in (tab.page, late.page):
            await expect(column(page, "executed").locator(".count")).to_have_text("1")
            await expect(column(page, "routed").locator(".count")).to_have_text("4")
            await expect(column(page, "observed").locator(".count")).to_have_text("0")


async def test_what_a_silent_node_was_is_shown_as_unknown_with_since_when(
    browser: Browser, tmp_path: Path
) -> None:
    async with two_chains(PrivateKey(b"\x05" * 32)) as chains, contextlib.AsyncExitStack() as stack:
        async with serving(tmp_path, chains) as node:
            port = node.port
            for chain in chains:
                assert chain.heads is not None
                node.network.read_to(chain, chain.heads.final.height)
            tab = await stack.enter_async_context(opened(browser, node.root, outages=True))
            await tab.open()
            await expect(tab.page.locator("#ready")).to_have_text("Ready")
            pills = tab.page.locator("#chains .pill")
            await expect(pills).to_have_text(["ready", "ready"])
        await expect(tab.page.locator("#ready")).to_have_text("Unknown")
        await expect(tab.page.locator("#why")).to_contain_text("no answer since")
        await expect(pills).to_have_text(["unknown", "unknown"])
        await expect(tab.page.locator("#chains")).to_contain_text("as it was at")
        await expect(tab.page.locator(".pill.ready")).to_have_count(0)
        async with serving(tmp_path, chains, port=port) as node:
            for chain in chains:
                assert chain.heads is not None
                node.network.read_to(chain, chain.heads.final.height)
            await expect(tab.page.locator("#ready")).to_have_text("Ready")
            await expect(pills).to_have_text(["ready", "ready"])
            await stack.aclose()


async def test_a_narrow_window_shows_each_intents_stage_and_answer(
    browser: Browser, node: Served
) -> None:
    (record,) = await node.observe(1)
    await walk(node, record, Stage.SETTLED, answer=b"Paris, as far as anybody knows. " * 9)
    async with opened(browser, node.root, viewport={"width": 320, "height": 640}) as tab:
        await tab.open()
        row = tab.page.locator("#rows").get_by_role("row")
        await expect(row.locator(".tag")).to_have_text("fulfilled")
        for part in (".tag", ".said", "a", ".num"):
            box = await row.locator(part).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 320
            assert box["width"] > 0
        assert await tab.page.evaluate("document.documentElement.scrollWidth") <= 320
        table = tab.page.get_by_role("table")
        assert await table.evaluate("each => each.scrollWidth <= each.parentElement.clientWidth")
        await expect(table.get_by_role("rowheader")).to_have_count(1)
        await expect(row.get_by_role("cell")).to_have_count(5)


async def test_escape_leaves_an_intents_story(node: Served, tab: Tab) -> None:
    (record,) = await node.observe(1)
    await tab.open()
    link = tab.page.locator(f'#rows a[href="#/intent/{hex_of(record)}"]')
    await link.click()
    await expect(tab.page.locator("#story-title")).to_be_focused()
    await tab.page.keyboard.press("Escape")
    await expect(tab.page.locator("#overview")).to_be_visible()
    await expect(tab.page.locator(f'a[href="#/intent/{hex_of(record)}"]:focus')).to_have_count(1)


async def test_what_an_account_has_and_how_long_that_lasts_is_shown(
    browser: Browser, tmp_path: Path
) -> None:
    async with two_chains(PrivateKey(b"\x05" * 32)) as chains:
        costs = {chains[0].chain: 10**15}
        async with (
            serving(tmp_path, chains, costs=costs) as node,
            opened(browser, node.root) as tab,
        ):
            await tab.open()
            panels = tab.page.locator("#chains .panel")
            for at in range(2):  # nothing is known yet, and nothing is made up
                await expect(fact(panels.nth(at), "Balance")).to_have_text(NOT_KNOWN)
                await expect(fact(panels.nth(at), "Enough for")).to_have_text(NOT_KNOWN)
            for chain in chains:
                balances = node.status.survey.balances
                balances[chain.chain] = Balance(1_234_567 * 10**15 + 1, 1_800_000_000.0)
            for at in range(2):
                shown = fact(panels.nth(at), "Balance")
                await expect(shown).to_contain_text("1,234.567")
                await expect(shown.locator("span")).to_have_attribute(
                    "title", "1234567000000000000001 in the smallest unit"
                )
            await expect(fact(panels.nth(0), "Enough for")).to_have_text("1,234,567 transactions")
            # Nothing was sent on the other one, so that nobody knows what a transaction costs there.
            await expect(fact(panels.nth(1), "Enough for")).to_have_text(NOT_KNOWN)


def fact(panel: Locator, name: str) -> Locator:
    """What a panel says under a name."""
    named = panel.page.get_by_text(name, exact=True)
    return panel.locator("dt").filter(has=named).locator("+ dd")
