"""Plays the scenarios: `python -m tests.faults --help`."""

import argparse
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.faults import kills, limits, live, longer, network, pooling, production, races, replicas
from tests.faults.scenarios import SCENARIOS, LeftOut, Scenario, Stage
from tests.faults.world import Ground
from tests.postgresql import adopt, end_all

# They have put their scenarios on the list.
assert all((kills, limits, live, longer, network, pooling, production, races, replicas))

MANY = 10
SHORT = {"SERVER__request_timeout": "2", "SERVER__receive_timeout": "2"}


def play(scenario: Scenario, ground: Ground, numbers: dict[str, object]) -> bool:
    """Prints what came of it, and says whether all held."""
    stage, started = Stage(ground), time.monotonic()
    try:
        scenario.play(stage, **numbers)
    except LeftOut as reason:
        print(f"{scenario.name} is left out: {reason}", flush=True)
        return True
    except Exception:
        stage.problems.append(traceback.format_exc())
    if stage.problems:
        ground.clear()
    result = "FAILED" if stage.problems else "ok"
    seconds = time.monotonic() - started
    print(f"{scenario.name}: {result} in {seconds:.1f} s: {'; '.join(stage.figures)}", flush=True)
    for problem in stage.problems[:MANY]:
        print("  " + problem.strip().replace("\n", "\n  "), flush=True)
    if more := stage.problems[MANY:]:
        print(f"  and {len(more)} more", flush=True)
    return not stage.problems


def ended(signal_number: int, _frame: object) -> None:
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)  # what follows is not to be cut short
    sys.exit(128 + signal_number)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--long", action="store_true", help="the numbers that say something")
    parser.add_argument("--minutes", type=float, default=30, help="how long `steady` takes")
    parser.add_argument(
        "--connections", type=int, default=80, help="the most that `steady` may open"
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(SCENARIOS)}; all if none is given"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(unknown)}")
    SCENARIOS["steady"].long |= {
        "minutes": arguments.minutes,
        "connections": arguments.connections,
    }
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, ended)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    adopt()
    results = []
    with tempfile.TemporaryDirectory(prefix="pamps-faults-") as folder:
        # The quick form has shorter deadlines, and a start takes longer than what comes after it.
        quick = {} if arguments.long else SHORT
        ground = Ground(Path(folder), share=not arguments.long, **quick)
        try:
            for scenario in SCENARIOS.values():
                # One that is asked for by name is played, in its long form if it has no other.
                numbers = scenario.long if arguments.long else scenario.quick
                if scenario.name in arguments.names:
                    numbers = numbers or scenario.long
                elif arguments.names:
                    numbers = None
                if numbers:
                    results.append(play(scenario, ground, numbers))
        finally:
            try:
                ground.clear()
            finally:
                end_all()
    return int(not all(results))


if __name__ == "__main__":
    sys.exit(main())
