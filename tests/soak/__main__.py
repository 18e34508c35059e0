"""A soak: many intents at a steady rate through a real node, while everything around it fails.

    make soak                    100,000 intents, some 70 minutes
    make soak INTENTS=5000       what CI runs

Two real chains (anvil), a node as a process (`vagus run`), a scripted model server. From a seed, the
node is killed at every stage, its endpoints are cut, silent, flapping, limited and reorganised, its
model dies and lies. What became of each intent is read from the chains by a client that shares no
code with vagus. The exit code is 1 if one is lost, delivered twice, settled twice or wrong.
"""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import orjson

from soak.run import Options, Run
from soak.table import table
from soak.verdict import judge


def main() -> int:
    """Run it; 0 where all is right, 1 where it is not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--intents", type=int, default=100_000, help="how many are asked")
    parser.add_argument("--rate", type=float, default=25.0, help="how many a second")
    parser.add_argument("--every", type=float, default=6.0, help="seconds from fault to fault")
    parser.add_argument("--seed", type=int, default=1, help="what is asked and what fails when")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    arguments = parser.parse_args()
    options = Options(arguments.intents, arguments.rate, arguments.every, arguments.seed)
    folder = Path(tempfile.mkdtemp(prefix="vagus-soak-"))
    run = Run(options, folder, lambda text: print(text, file=sys.stderr, flush=True))
    stopped = asyncio.run(_until_stopped(run))
    if run.faults is None or not run.faults.lifetimes:
        shutil.rmtree(folder)
        return 130 if stopped else 1
    verdict = judge(run)
    shown = orjson.dumps(verdict, option=orjson.OPT_INDENT_2).decode()
    print(shown if arguments.json else table(verdict))
    if verdict["right"] or stopped:
        shutil.rmtree(folder)
    else:
        print(f"The node's journal and log are in {folder}", file=sys.stderr)
    if stopped:
        return 130
    return 0 if verdict["right"] else 1


async def _until_stopped(run: Run) -> bool:
    """Run to the end, or until SIGINT or SIGTERM: whether it was stopped."""
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(run(), name="soak")

    def stop(number: signal.Signals) -> None:
        run.say(f"Stopped by {number.name}; cleaning up")
        work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    await asyncio.wait([work])
    if work.cancelled():
        return True
    if error := work.exception():
        # A node that ended by itself, a chain that died: what was found until then is judged all the same.
        traceback.print_exception(error)
    return False


if __name__ == "__main__":
    sys.exit(main())
