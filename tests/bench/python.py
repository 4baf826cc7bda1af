"""What the module of Python costs above the host, in processor time of this process, and the most that it may.

    PYTHONPATH=build/release/python /usr/bin/python3 tests/bench/python.py

The function: log f of a chain of 16 spins at [512, 16], called through an energy, less the function itself. States and a
frame: 10^5 states asked by one pass, less what the network's passes take, which the metric marginal_seconds times in C++. One
state: a marginal against the same metric with a batch of one, in turns, of which the median counts.
"""
import os
import pathlib
import resource
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy  # noqa: E402

import marginalia  # noqa: E402


def median(call, repeats):
    """Seconds of processor time of one call."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return sorted(times)[repeats // 2]


def chain(x):
    return 0.25 * (x[:, 1:] * x[:, :-1]).sum(1)


def function():
    density = marginalia.log_density(variables=16, values=(-1, 1), name="bench")(chain)
    energy = marginalia.exact(density)._exact
    x = numpy.random.default_rng(0).integers(0, 2, (512, 16))
    spins = 2 * x - 1
    return median(lambda: energy.log_density(x), 2001) - median(lambda: chain(spins), 2001)


ISING = {"type": "ising", "sides": [4, 4], "boundary": "open", "coupling": 0.25, "field": 0.0}


def made(folder, batch):
    """A run that measures the seconds a query of one pass takes in C++, `batch` of them at once."""
    timed = {"type": "marginal_seconds", "batch": batch, "repeats": 501, "estimators": ["one_pass"], "percent": 50}
    return marginalia.run({"energy": ISING, "network": {"type": "mlp", "hidden": 64, "layers": 2}, "family": {"type": "mam"},
                           "training": {"steps": 10}, "evaluation": {"metrics": [timed], "samples": 0}},
                          out=f"{folder}/{batch}", threads=1)


def in_turns(run, call, turns):
    """Seconds of a call and of a query in C++, measured one after the other: of each turn."""
    pairs = []
    for _ in range(turns):
        ours = median(call, 501)
        pairs.append((ours, run.measure()["metrics"]["marginal_seconds"]["one_pass"]["value"]))
    return pairs


def growth(run, count):
    """KiB that opening a run `count` times leaves behind."""
    def resident():
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024
    for _ in range(100):
        marginalia.load(run.folder)
    before = resident()
    for _ in range(count):
        marginalia.load(run.folder)
    return resident() - before


def main():
    missed = []

    def told(text, value, most):
        print(text + ("" if value <= most else f": MORE THAN {most}"))
        missed.extend([text] if value > most else [])
    cost = 1e6 * function()
    told(f"function at [512, 16]: {cost:.1f} us a call above the function itself", cost, 50)
    with tempfile.TemporaryDirectory() as folder:
        run, of_one = made(folder, 4096), made(folder, 1)
        many = run.results["marginal_seconds/one_pass"]
        half = numpy.random.default_rng(1).integers(0, 2, (100000, 16)).astype(float)
        half[:, 8:] = numpy.nan
        asked = median(lambda: run.marginals(half, estimator="one_pass").frame(), 3)
        told(f"10^5 states and a frame: {asked:.2f} s, of which {1e5 * many:.2f} s of passes", asked - 1e5 * many, 1)
        one = half[0].tolist()
        one = [None if value != value else int(value) for value in one]
        pairs = in_turns(of_one, lambda: of_one.marginals(one, estimator="one_pass"), 9)
        ours, single = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
        told(f"one state: {1e6 * ours:.0f} us, in the host {1e6 * single:.0f} us: {ours / single:.2f} times", ours / single, 1.5)
        left = growth(run, 900)
        told(f"a run opened 900 times more: {left} KiB", left, 10 * 1024)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
