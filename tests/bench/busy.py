#!/usr/bin/env python3
"""What a run costs beside busy processes, against what it costs alone.

    python3 tests/bench/busy.py -- build/release/bin/marginalia run SPEC --threads 2 --out DIR --force

Runs the command alone and beside --busy endless loops, in turn, --rounds times, and prints the medians of its
processor and wall seconds. A scheduler that is fair grants T threads of a run beside N loops on C cores
C * T / (T + N) processors; wall time is compared with processor seconds over those. What spins while it waits
shows as processor seconds, what waits badly as wall time.
"""
import argparse
import os
import resource
import statistics
import subprocess
import sys
import time

LOOP = [sys.executable, "-c", "while True: pass"]


def once(command, busy):
    """-> processor seconds and wall seconds of the command, beside `busy` loops."""
    loops = [subprocess.Popen(LOOP) for _ in range(busy)]
    try:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()  # after `after`: their time is not the command's
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of the command")
    parser.add_argument("--busy", type=int, default=2, help="endless loops beside it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("command", nargs="+")
    a = parser.parse_args()
    alone, beside = [], []
    for _ in range(a.rounds):
        alone.append(once(a.command, 0))
        beside.append(once(a.command, a.busy))
    cpu, wall = (statistics.median(column) for column in zip(*alone))
    busy_cpu, busy_wall = (statistics.median(column) for column in zip(*beside))
    granted = min(a.threads, len(os.sched_getaffinity(0)) * a.threads / (a.threads + a.busy))
    print(f"alone:  {cpu:.1f} processor seconds, {wall:.1f} wall")
    print(f"beside: {busy_cpu:.1f} processor seconds, {busy_wall:.1f} wall; {granted:.2f} processors granted")
    print(f"processor seconds, beside over alone: {busy_cpu / cpu:.2f}")
    print(f"wall over processor seconds / processors granted: {busy_wall / (busy_cpu / granted):.2f}")


if __name__ == "__main__":
    main()
