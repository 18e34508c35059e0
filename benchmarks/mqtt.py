"""Round trips through Mosquitto and the embedded broker, and that one as its wheel starts it.

    python benchmarks/mqtt.py [--seconds 3] [--json]

One client publishes 600 bytes, the other sends them back; both are the committee's own. Rounds of a
second take turns among the brokers, so that a busy machine slows all alike; the figures are the
rounds' medians, the ratios are to Mosquitto with QoS 1.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import iotcore
import structlog

from support.mosquitto import Mosquitto, free_port
from vagus.compute.mqtt import Broker, MqttClient, MqttConfig
from vagus.compute.mqtt.broker_server import CONFIG

PAYLOAD = bytes(600)
IN_FLIGHT = (1, 16)


async def per_second(url: str, qos: int, in_flight: int, seconds: float) -> float:
    config = MqttConfig.model_validate({"url": url, "qos": qos})
    async with MqttClient(config, ["there"]) as far, MqttClient(config, ["back"]) as near:
        await far.until_connected()
        await near.until_connected()

        async def echo() -> None:
            while True:
                far.publish("back", (await far.receive()).payload)

        echoing = asyncio.create_task(echo())
        for _ in range(in_flight):
            near.publish("there", PAYLOAD)
        done, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            await near.receive()
            near.publish("there", PAYLOAD)
            done += 1
        rate = done / (time.perf_counter() - begin)
        echoing.cancel()
        return rate


async def measure(seconds: float) -> list[dict[str, float | int | str]]:
    rates: dict[tuple[str, int, int], list[float]] = {}
    async with AsyncExitStack() as life:
        folder = Path(life.enter_context(tempfile.TemporaryDirectory()))
        mosquitto = await life.enter_async_context(Mosquitto(folder))
        embedded = await life.enter_async_context(Broker())
        port = free_port()
        (folder / "rumqttd.toml").write_text(CONFIG.format(port=port))
        life.enter_context(iotcore.Broker(config_path=str(folder / "rumqttd.toml")))
        brokers = {
            "mosquitto": mosquitto.url,
            "embedded": embedded.url,
            "its wheel's": f"mqtt://127.0.0.1:{port}",
        }
        for _ in range(max(1, round(seconds))):
            for name, url in brokers.items():
                for qos in (0, 1):
                    for in_flight in IN_FLIGHT:
                        rate = await per_second(url, qos, in_flight, 1.0)
                        rates.setdefault((name, qos, in_flight), []).append(rate)
    medians = {key: statistics.median(found) for key, found in rates.items()}
    return [
        {
            "broker": name,
            "qos": qos,
            "in_flight": in_flight,
            "per_s": rate,
            "ms": 1000 * in_flight / rate,
            "ratio": rate / medians["mosquitto", 1, in_flight],
        }
        for (name, qos, in_flight), rate in medians.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each way of each broker")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    rows = asyncio.run(measure(arguments.seconds))
    if arguments.json:
        print(json.dumps({"round_trips": rows}))
        return
    print(
        f"{'broker':<12} {'QoS':>3} {'in flight':>9} {'round trips/s':>14} {'ms':>7} {'ratio':>6}"
    )
    for row in rows:
        print(
            f"{row['broker']:<12} {row['qos']:>3} {row['in_flight']:>9}"
            f" {row['per_s']:>14,.0f} {row['ms']:>7.2f} {row['ratio']:>6.2f}"
        )


if __name__ == "__main__":
    main()
