"""A committee of four, of which three sign, with a liar among them or a bad world around them.

    make byzantine                    every case
    make byzantine CASES=lies         the cases with this in their name
    make byzantine INTENTS=40         so many intents in each

Four nodes as processes (`vagus run`), each with its own keys, database and wires to two real chains,
EVM and Solana. What became of each intent is read from the chains by clients that share no code with
vagus. The last case has a bug in two nodes beside the liar, and the judge has to see it. Beside them,
where a processor is free, the agreement's model goes through its schedules. The exit code is 1 if an
answer is wrong, is delivered or settled twice, or does not come in time, or if a schedule ends badly.
"""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import uvloop

from byzantine.run import Options, Run
from byzantine.schedules import Schedules, run_schedules
from byzantine.table import table


def main() -> int:
    """Run it; 0 where all is right, 1 where it is not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="byzantine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--intents", type=int, default=200, help="how many are asked in a case")
    parser.add_argument("--rate", type=float, default=10.0, help="how many a second")
    parser.add_argument("--seed", type=int, default=1, help="what is asked, and what is lost")
    parser.add_argument(
        "--case", action="append", default=[], help="only those with this in a name"
    )
    parser.add_argument("--keep", action="store_true", help="keep journals and logs, and say where")
    parser.add_argument(
        "--schedules", type=int, default=100_000, help="of the agreement's model; 0: none"
    )
    arguments = parser.parse_args()
    options = Options(arguments.intents, arguments.rate, arguments.seed, tuple(arguments.case))
    folder = Path(tempfile.mkdtemp(prefix="vagus-byzantine-"))
    run = Run(options, folder, lambda text: print(text, file=sys.stderr, flush=True))
    failed, schedules = uvloop.run(_until_stopped(run, arguments.schedules))
    print(table(run.findings, schedules))
    right = not failed and bool(run.findings) and all(each.right for each in run.findings)
    right = right and schedules.right
    if (right or failed == "stopped") and not arguments.keep:
        shutil.rmtree(folder)
    else:
        print(f"The nodes' journals and logs are in {folder}", file=sys.stderr)
    return 130 if failed == "stopped" else int(not right)


async def _until_stopped(run: Run, schedules: int) -> tuple[str, Schedules]:
    """Run to the end, or until SIGINT or SIGTERM; what kept it from its end, in a word."""
    loop, found = asyncio.get_running_loop(), Schedules()

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(run(), name="cases")
            found.add(await run_schedules(schedules, run.say))

    work = asyncio.create_task(both(), name="byzantine")

    def stop(number: signal.Signals) -> None:
        run.say(f"Stopped by {number.name}; cleaning up")
        work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    await asyncio.wait([work])
    if work.cancelled():
        return "stopped", found
    if error := work.exception():
        traceback.print_exception(error)
        return "broken", found
    return "", found


if __name__ == "__main__":
    sys.exit(main())
