"""A simulated schedule of a large build: units of work on many machines, with slow machines and failures.

python benchmarks/simulate_schedule.py --help

Each free machine takes the next unit, as `paramgen build --dask` hands them out. A unit is drawn while it is written:
it advances at the rate of the machine's drawing or network, if its fair share of the storage is not less.
"""

import argparse
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

UNITS = {"shards of 5 GB": 5e9, "shards of 1 GB": 1e9, "ranges of 268 MB": 2.0**28}
EPSILON = 1e-9


@dataclass(frozen=True)
class Setup:
    """A build and its machines; sizes in bytes, rates in bytes per second."""

    size: float = 1e12
    machines: int = 64
    unit: float = 5e9
    draw: float = 4e9
    network: float = 1.25e9
    storage: float = 20e9
    overhead: float = 0.02
    slow: int = 0
    slowdown: float = 4.0
    failures: int = 0
    restart: float = 60.0

    @property
    def bound(self) -> float:
        """The seconds that equal machines need without units."""
        return self.size / min(self.machines * min(self.draw, self.network), self.storage)


@dataclass(slots=True)
class Machine:
    """A machine: its highest rate, when it fails, and the rest of its unit; it is idle until `ready`."""

    rate: float
    fails: float
    ready: float = 0.0
    unit: float = 0.0
    left: float = 0.0


def simulate(setup: Setup, seed: int = 0) -> float:
    """Return the seconds until the last unit is written."""
    numbers = random.Random(seed)
    failing = set(numbers.sample(range(setup.machines), setup.failures))
    full = min(setup.draw, setup.network)
    machines = [
        Machine(
            full / (setup.slowdown if number < setup.slow else 1.0),
            numbers.uniform(0, setup.bound) if number in failing else float("inf"),
        )
        for number in range(setup.machines)
    ]
    units = [setup.unit] * int(setup.size // setup.unit) + (
        [setup.size % setup.unit] if setup.size % setup.unit else []
    )
    now = 0.0
    while True:
        for machine in machines:
            if now >= machine.fails:
                if machine.left:
                    units.append(machine.unit)  # another machine draws it again
                machine.fails, machine.ready, machine.left = float("inf"), now + setup.restart, 0.0
            if not machine.left and machine.ready <= now and units:
                machine.unit = machine.left = units.pop()
                machine.ready = now + setup.overhead
        busy = [machine for machine in machines if machine.left]
        if not busy:
            return now
        rates = share_rates([(machine.rate if machine.ready <= now else 0.0) for machine in busy], setup.storage)
        steps = [machine.left / rate for machine, rate in zip(busy, rates, strict=True) if rate]
        steps += [at - now for machine in machines for at in (machine.ready, machine.fails) if now < at < float("inf")]
        step = min(steps)
        now += step
        for machine, rate in zip(busy, rates, strict=True):
            machine.left -= rate * step
            if machine.left < EPSILON * machine.unit:
                machine.left = 0.0


def share_rates(wanted: list[float], capacity: float) -> list[float]:
    """Share a capacity fairly: no one gets more than it wants, and the others share the rest."""
    rates = [0.0] * len(wanted)
    for count, number in enumerate(sorted(range(len(wanted)), key=wanted.__getitem__)):
        rates[number] = min(wanted[number], capacity / (len(wanted) - count))
        capacity -= rates[number]
    return rates


def make_table(setup: Setup, storages: list[float]) -> Iterator[str]:
    """Yield the lines of a table: the seconds of each case, for units of several sizes and several storages."""
    some = max(1, setup.machines // 16)
    cases = {
        "equal": {},
        f"{some} are {setup.slowdown:g} times slower": {"slow": some},
        f"{some} fail once": {"failures": some},
        f"{some} slower, {some} fail": {"slow": some, "failures": some},
    }
    titles = [f"storage of {storage / 1e9:g} GB/s" for storage in storages]
    yield f"| {setup.machines} machines | units | {' | '.join(titles)} |"
    yield f"| {' | '.join(['--'] * (len(titles) + 2))} |"
    yield f"| without units | | {' | '.join(f'{replace(setup, storage=storage).bound:.1f} s' for storage in storages)} |"
    for case, fields in cases.items():
        for name, unit in UNITS.items():
            seconds = [simulate(replace(setup, unit=unit, storage=storage, **fields)) for storage in storages]
            yield f"| {case} | {name} | {' | '.join(f'{value:.1f} s' for value in seconds)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=Setup.size, help="bytes of the model (%(default)g)")
    parser.add_argument("--machines", type=int, default=Setup.machines, help="(%(default)s)")
    parser.add_argument("--draw", type=float, default=Setup.draw, help="bytes/s that a machine draws (%(default)g)")
    parser.add_argument("--network", type=float, default=Setup.network, help="bytes/s of a machine (%(default)g)")
    parser.add_argument("--overhead", type=float, default=Setup.overhead, help="seconds per unit (%(default)g)")
    parser.add_argument("--slowdown", type=float, default=Setup.slowdown, help="of slow machines (%(default)g)")
    parser.add_argument("--restart", type=float, default=Setup.restart, help="seconds until one is back (%(default)g)")
    parser.add_argument(
        "--storage", type=float, nargs="+", default=[20e9, 200e9], help="bytes/s of all machines (20e9 200e9)"
    )
    arguments = vars(parser.parse_args())
    storages = arguments.pop("storage")
    print("\n".join(make_table(Setup(**arguments), storages)))


if __name__ == "__main__":
    main()
