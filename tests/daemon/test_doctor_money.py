"""`vagus check` and `vagus doctor` on dollars: what they are worth, and who has no price without."""

from decimal import Decimal
from pathlib import Path

from support.journals import HUB
from support.scripted import Request, response, scripted
from vagus.compute.rates import MoneyConfig
from vagus.daemon.choices import ChainChoice
from vagus.daemon.doctor.config import look_at
from vagus.daemon.doctor.finding import Verdict
from vagus.daemon.doctor.money import look_at_money
from vagus.daemon.folder import make_keys, write_config

CHAIN = HUB.rpartition(":")[0]


def sources(*ports: int) -> MoneyConfig:
    return MoneyConfig.model_validate(
        {
            "sources": [
                {"name": f"s{at}", "url": f"http://127.0.0.1:{port}/", "pointer": "/usd"}
                for at, port in enumerate(ports)
            ]
        }
    )


async def test_sources_are_asked_and_what_they_agree_on_is_said() -> None:
    async def answer(request: Request) -> None:
        await request.send(response({"usd": 3000.5}))

    async with scripted(answer) as one, scripted(answer) as other:
        (found,) = await look_at_money(sources(one.port, other.port))
    assert (found.verdict, found.finding) == (
        Verdict.OK,
        "one unit of account is worth 3000.5 US dollars, by s0, s1",
    )


async def test_sources_that_say_nothing_are_named_with_what_to_do() -> None:
    async def answer(request: Request) -> None:
        await request.send(response({"eur": 1}))

    async with scripted(answer) as one:
        (found,) = await look_at_money(sources(one.port))
    assert found.verdict is Verdict.FAIL
    assert "s0: no number at /usd" in found.finding
    assert "[[money.sources]]" in found.advice


async def test_the_operators_word_is_taken_and_silence_is_no_finding() -> None:
    (found,) = await look_at_money(MoneyConfig(usd=Decimal(3000)))
    assert found.finding.endswith("3000 US dollars, by config")
    assert await look_at_money(MoneyConfig()) == []


def test_a_backend_that_charges_in_dollars_is_named_where_nobody_says_what_they_are(
    tmp_path: Path,
) -> None:
    key = tmp_path / "akashml.key"
    key.write_text("akml-key")
    key.chmod(0o600)
    chosen = ChainChoice(CHAIN, HUB, ("http://127.0.0.1:9/",))
    config = write_config(make_keys(tmp_path, "devnet"), "devnet", [chosen], 9464)
    local = '[[backends]]\nkind = "local"\n'
    text = config.read_text()
    assert text.count(local) == 1
    bought = f'[[backends]]\nkind = "akashml"\nname = "bought"\napi_key_file = "{key}"\n'

    def warned() -> list[str]:
        found = look_at(config).findings
        return [each.advice for each in found if each.verdict is Verdict.WARN]

    config.write_text(text.replace(local, bought))
    assert "give usd or sources under [money]" in warned()
    config.write_text(text.replace(local, bought) + '\n[money]\nusd = "3000"\n')
    assert "give usd or sources under [money]" not in warned()
