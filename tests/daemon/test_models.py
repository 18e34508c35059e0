"""What `vagus models` lists of a backend that sells tokens in dollars."""

from decimal import Decimal
from pathlib import Path

from vagus.compute import backend_config, make_backend
from vagus.compute.rates import MoneyConfig
from vagus.compute.sandbox.chat import ScriptedModel
from vagus.compute.sandbox.openai import AkashMLSandbox
from vagus.daemon.models import list_models


async def test_models_are_listed_with_context_and_price_or_why_there_is_none(
    tmp_path: Path,
) -> None:
    async with AkashMLSandbox(models=(ScriptedModel("m", 4096),)) as sandbox:
        key = tmp_path / "key"
        key.write_text(sandbox.api_key)
        key.chmod(0o600)
        table = {"kind": "akashml", "name": "x", "base_url": sandbox.base_url}
        config = backend_config({**table, "api_key_file": str(key)})
        money = MoneyConfig(usd=Decimal(3000))
        (priced,) = await list_models([make_backend(config)], money)
        (unpriced,) = await list_models([make_backend(config)])
    assert (priced["model"], priced["context"], priced["unpriced"]) == ("m", 4096, None)
    assert priced["price"] == {
        "input": "43333333333334",
        "output": "133333333333334",
        "source": "x's listing; USD by config",
    }
    assert unpriced["price"] is None
    assert "[money]" in unpriced["unpriced"]


async def test_what_rents_machines_is_listed_from_its_config_and_rents_nothing(
    tmp_path: Path,
) -> None:
    """Without a folder for a ledger, without a key, and with a network that nobody reaches."""
    table = {
        "kind": "akash",
        "name": "gpu",
        "base_url": "http://127.0.0.1:9",
        "api_key_file": str(tmp_path / "none"),
        "image": "vllm/vllm-openai:v0.11.0",
        "models": [{"name": "m", "context": 4096}],
        "price": {"input": "10", "output": "40"},
        "max_hourly": "0.60",
        "spend_hour": "0.60",
        "spend_day": "6",
    }
    [found] = await list_models([make_backend(backend_config(table))])
    assert (found["backend"], found["model"]) == ("gpu", "m")
    assert found["price"] == {"input": "10", "output": "40", "source": "config"}
    assert not list(tmp_path.iterdir())
