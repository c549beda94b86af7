"""`python -m soak [TRANSPORT ...] [--minutes N]`: the worker of each transport under good and bad requests.

After the first fifth of the time, in which it warms up, a worker's memory may grow by five percent at most, its open
files and threads may not grow, and every request has to be answered, as it has to be. Exit code 1 otherwise.

With --hostile there are, after a third of the time, always a bomb, a dear prompt and ten slow clients, too.
Good requests may then take three times as long as before, by the 99th percentile.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from soak.hostile import Hostile, percentile, slower
from soak.load import requests
from soak.process import Usage, usage
from tests.support.drivers import DRIVERS, Driver
from tests.support.subject import DEXTR

OUTSTANDING = 6  # requests under way on each transport
MOST_GROWTH = 0.05
WARM_UP = 0.2
MOST_SLOWER = 3.0  # the 99th percentile with hostile requests beside
_HOSTILE_REQUESTS = 2  # under way on each transport
PATIENCE = 60.0  # seconds for the last answers


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__.partition("\n")[0])
    parser.add_argument("transports", nargs="*", metavar="TRANSPORT", help=f"of {', '.join(DRIVERS)} (default: all)")
    parser.add_argument("--minutes", type=float, default=20.0, help="for how long (default: %(default)s)")
    parser.add_argument("--hostile", action="store_true", help="with hostile requests beside them")
    args = parser.parse_args()
    unknown = [name for name in args.transports if name not in DRIVERS]
    if unknown:
        parser.error(f"no transport {', '.join(unknown)}; expected some of {', '.join(DRIVERS)}")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        drivers = {name: DRIVERS[name](DEXTR, Path(folder) / name, stack) for name in args.transports or DRIVERS}
        wait_until_ready(drivers.values())
        calm: dict[str, list[float]] = {}
        if args.hostile:
            soak(drivers, 20 * args.minutes, "calm-")
            calm = {name: driver.answers.seconds for name, driver in drivers.items()}
            for driver in drivers.values():
                driver.answers.seconds = []
        seen = soak(drivers, (40 if args.hostile else 60) * args.minutes, "", hostile=args.hostile)
        well = [report(name, driver, seen[name], calm.get(name)) for name, driver in drivers.items()]
        return 0 if all(well) else 1


def soak(drivers: dict[str, Driver], seconds: float, prefix: str, *, hostile: bool = False) -> dict[str, list[Usage]]:
    """Keeps all drivers busy, until a worker ends, which none should; what their workers used, once a second."""
    streams = {name: requests(f"{prefix}{name}-", seed) for seed, name in enumerate(drivers)}
    enemies = {name: Hostile(name, driver) for name, driver in drivers.items() if hostile}
    seen: dict[str, list[Usage]] = {name: [] for name in drivers}
    end = time.monotonic() + seconds
    look = time.monotonic()
    while time.monotonic() < end and all(driver.alive for driver in drivers.values()):
        for name, driver in drivers.items():
            if name in enemies:
                enemies[name].keep_up()
            missing = OUTSTANDING + _HOSTILE_REQUESTS * hostile - driver.answers.outstanding
            for request in itertools.islice(streams[name], max(0, missing)):
                driver.send(request)
            driver.collect()
        if time.monotonic() >= look:
            look += 1
            for name, driver in drivers.items():
                seen[name].append(usage(driver.worker.pid))
        time.sleep(0.005)
    for enemy in enemies.values():
        enemy.close()
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and any(d.alive and d.answers.outstanding for d in drivers.values()):
        for driver in drivers.values():
            driver.collect()
        time.sleep(0.05)
    return seen


def wait_until_ready(drivers: Iterable[Driver], seconds: float = 120.0) -> None:
    """Until all workers take requests."""
    end = time.monotonic() + seconds
    for driver in drivers:
        while not driver.ready():
            if time.monotonic() > end or not driver.alive:
                raise SystemExit(f"a worker does not start: {driver.said}")
            time.sleep(0.1)


def report(name: str, driver: Driver, seen: Sequence[Usage], calm: Sequence[float] | None) -> bool:
    """Prints how it went; True if all is well."""
    begin, end = after_warm_up(seen)
    answers, lost = driver.answers, driver.answers.lost()
    growth = end.memory / begin.memory - 1
    memory = f"{begin.memory / 1e6:.0f} -> {end.memory / 1e6:.0f} MB ({100 * growth:+.1f} %)"
    print(
        f"{name}: {answers.right} right, {len(answers.wrong)} wrong, {len(lost)} lost; "
        f"slowest {max(answers.seconds, default=0):.1f} s, "
        f"memory {memory}, files {begin.files} -> {end.files}, threads {begin.threads} -> {end.threads}"
    )
    for problem in [*answers.wrong[:5], *(f"{request}: lost" for request in lost[:5])]:
        print(f"  {problem}")
    bearable = True
    if calm is not None:
        ratio = slower(calm, answers.seconds)
        bearable = ratio <= MOST_SLOWER
        print(f"  99 % within {percentile(answers.seconds):.2f} s, {ratio:.1f} times the time without hostile requests")
    if not driver.alive:
        print(f"  the worker ended with exit code {driver.worker.returncode}")
    steady = growth <= MOST_GROWTH and end.files <= begin.files + 1 and end.threads <= begin.threads
    return driver.alive and steady and bearable and not answers.wrong and not lost


def after_warm_up(seen: Sequence[Usage]) -> tuple[Usage, Usage]:
    """What was used just after warming up, and at the end: the medians of a fifth of the time each."""
    span = max(1, int(WARM_UP * len(seen)))
    return median(seen[span : 2 * span] or seen), median(seen[-span:])


def median(seen: Sequence[Usage]) -> Usage:
    """Of each figure for itself; of files and threads the most, as they come and go."""
    return Usage(
        int(statistics.median(use.memory for use in seen)),
        max(use.files for use in seen),
        max(use.threads for use in seen),
    )


if __name__ == "__main__":
    sys.exit(main())
