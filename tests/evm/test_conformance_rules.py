"""The kit's own rules: nothing is left out without a written reason, and what is broken fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from vagus.adapters.conformance import AdapterConformance, ChainHarness, overriding
from vagus.adapters.conformance.rules import needs

TESTS = Path(__file__).parents[1]
TEST = "test_heads_never_go_back"

HEAD = """
import pytest
import pytest_asyncio

from vagus.adapters.conformance import AdapterConformance

pytestmark = pytest.mark.asyncio(loop_scope="module")
"""

DEFECTIVE = """
from support.evm_harness import EvmHarness
from vagus.adapters.evm.adapter import EvmAdapter

class Adapter{number}(EvmAdapter):
    {adapter}

class Harness{number}(EvmHarness):
    def adapter(self, endpoints, **options):
        made = super().adapter(endpoints, **options)
        made.__class__ = Adapter{number}
        return made

class Test{number}(AdapterConformance):
    @pytest_asyncio.fixture(scope="class", loop_scope="module")
    async def harness(self):
        async with Harness{number}() as found:
            yield found
"""

UNTRIED = """
class TestMine(AdapterConformance):
    {tests}

    @pytest.fixture
    def harness(self):
        return None
"""

DEFECTS = {
    "it skips an intent": (
        """
    async def intents(self, cursor, until):
        found, after = await super().intents(cursor, until)
        return found[1:], after
        """,
        "test_a_backlog_is_read_in_order_each_intent_once",
    ),
    "it reads what is not final": (
        """
    async def intent_state(self, intent_id):
        return await self._views.intent_state(intent_id, self.heads.latest)
        """,
        "test_nothing_is_said_of_what_is_not_final",
    ),
    "it believes one endpoint": (
        """
    async def intent_state(self, intent_id):
        self._quorum.needed = 1
        return await super().intent_state(intent_id)
        """,
        "test_two_endpoints_down_stall_and_the_third_is_not_believed",
    ),
    "it counts nonces in memory": (
        """
    nonces = iter(range(1 << 20))
    async def open_lane(self, lane):
        return (next(self.nonces) + 1).to_bytes(8, "big")
        """,
        "test_a_crash_leaves_no_hole_in_the_lane",
    ),
    "it raises what no daemon expects": (
        """
    async def balance(self):
        try:
            return await super().balance()
        except Exception as error:
            raise ValueError from error
        """,
        "test_what_is_no_answer_is_a_retry[dropped]",
    ),
}


def run(folder: Path, module: str, *selected: str) -> str:
    """Run tests of the kit in a process of their own; what pytest printed."""
    path = folder / "test_mine.py"
    path.write_text(HEAD + module)
    ini = folder / "pytest.ini"
    ini.write_text(f"[pytest]\nasyncio_mode = auto\npythonpath = {TESTS}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-rfsE", "-n", "0", "-p", "no:cacheprovider"]
    tests = [f"{path}::{each}" for each in selected]
    done = subprocess.run(
        [*command, "-c", str(ini), "--rootdir", str(folder), *tests],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_each_defect_is_found(tmp_path: Path) -> None:
    module, selected = "", []
    for number, (adapter, test) in enumerate(DEFECTS.values()):
        module += DEFECTIVE.format(number=number, adapter=adapter.strip())
        selected.append(f"Test{number}::{test}")
    said = run(tmp_path, module, *selected)
    lines = [line for line in said.splitlines() if line.startswith("FAILED")]
    missed = [name for name, test in zip(DEFECTS, selected, strict=True) if test not in str(lines)]
    assert not missed, said
    assert "passed" not in said.splitlines()[-1]


def test_what_a_chain_lacks_is_skipped_with_its_reason(tmp_path: Path) -> None:
    reason = "blocks of this chain are final when they are committed"
    test = "test_a_final_block_that_is_replaced_halts_the_chain"
    module = UNTRIED.format(tests=f"lacks = {{'reorg': {reason!r}}}")
    said = run(tmp_path, module, f"TestMine::{test}")
    assert "1 skipped" in said
    assert f"NOT TRIED, this chain lacks 'reorg': {reason}" in said


def test_an_override_without_a_reason_is_no_run_at_all(tmp_path: Path) -> None:
    said = run(tmp_path, UNTRIED.format(tests=f"async def {TEST}(self): pass"), "TestMine")
    assert f"TestMine.{TEST} overrides a test of the conformance kit" in said
    assert "passed" not in said


def test_an_override_needs_its_reason_in_every_form() -> None:
    async def nothing(self: object) -> None:
        """Try nothing."""

    mixin = type("Mixin", (), {TEST: nothing})
    for bases, members in (
        ((AdapterConformance,), {TEST: nothing}),
        ((AdapterConformance,), {TEST: None}),
        ((mixin, AdapterConformance), {}),
    ):
        with pytest.raises(TypeError, match="say why"):
            type("TestMine", bases, members)

    class Reasoned(AdapterConformance):
        @overriding(reason="this chain's heads are known by their slot, which may go back")
        async def test_heads_never_go_back(self, harness: ChainHarness) -> None:
            """Try nothing."""

    class Inherited(Reasoned):
        """A reason is inherited with its test."""

    assert issubclass(Inherited, AdapterConformance)


@pytest.mark.parametrize("reason", ["", "   ", "no", "x" * 5 + "\n" + "y" * 30, None])
def test_a_reason_is_a_sentence(reason: str) -> None:
    with pytest.raises(ValueError, match="needs a written reason"):
        overriding(reason=reason)
    with pytest.raises(ValueError, match="needs a written reason"):
        type("TestMine", (AdapterConformance,), {"lacks": {"reorg": reason}})


def test_only_known_capabilities_can_lack() -> None:
    lacks = {"everything": "this chain can do nothing of all that, and never will"}
    with pytest.raises(TypeError, match="none of: finality, reorg"):
        type("TestMine", (AdapterConformance,), {"lacks": lacks})
    with pytest.raises(ValueError, match="no capability is called"):
        needs("everything")
