"""Digest and sign one attestation, against coincurve's bare signing, in one run on one core.

    python benchmarks/sign.py [--seconds 5] [--json]

Each round times a batch of either kind, one after the other, so that a busy machine slows both
alike; the figures are the rounds' medians. "bare" signs a digest that is ready. "attestation"
makes the message (its fields checked), hashes it for a hub and signs it. At least half of bare
is what the protocol promises.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import coincurve

from vagus.protocol import Attestation, hub_id, keccak256, sign

BATCH = 500
TARGET = 0.5


def per_second(work: Callable[[], None]) -> float:
    begin = time.perf_counter()
    work()
    return BATCH / (time.perf_counter() - begin)


def measure(seconds: float) -> dict[str, float]:
    key = coincurve.PrivateKey(keccak256(b"a key for measuring only"))
    hub = hub_id("eip155:31337:0x5fbdb2315678afecb367f032d93f642f64180aa3")
    digests = [keccak256(i.to_bytes(4, "big")) for i in range(BATCH)]

    def bare() -> None:
        for digest in digests:
            key.sign_recoverable(digest, hasher=None)

    def attestation() -> None:
        for digest in digests:
            message = Attestation(digest, hub, 0, digest, hub, hub, digest, 1, 2_000_000_000)
            sign(message.digest(hub), key)

    bare_rates: list[float] = []
    attestation_rates: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(bare_rates) < 3:
        bare_rates.append(per_second(bare))
        attestation_rates.append(per_second(attestation))
    bare_rate, rate = statistics.median(bare_rates), statistics.median(attestation_rates)
    return {"attestation_per_s": rate, "bare_per_s": bare_rate, "ratio": rate / bare_rate}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to measure")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    result = measure(arguments.seconds)
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"digest and sign an attestation  {result['attestation_per_s']:>8,.0f} /s")
    print(f"coincurve's bare sign           {result['bare_per_s']:>8,.0f} /s")
    print(f"ratio                           {result['ratio']:>8.2f}    (target: {TARGET})")


if __name__ == "__main__":
    main()
