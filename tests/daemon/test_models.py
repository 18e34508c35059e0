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
