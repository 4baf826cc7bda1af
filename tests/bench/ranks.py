#!/usr/bin/env python3
"""Seconds of a training step in ranks, beside one process: ratios, and bytes sent by a rank.

  /usr/bin/python3 tests/bench/ranks.py --program build/release/bin/marginalia SPEC [key=value ...]

One process of one thread and of two, and two ranks of one thread each, take turns; each time is the median over steps, and the
smallest of the turns. tests/bench/ranks_torch.py measures the same of PyTorch's DistributedDataParallel.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

WAYS = {"1 rank, 1 thread": (1, 1), "1 rank, 2 threads": (1, 2), "2 ranks, 1 thread": (2, 1)}


def step_seconds(program, spec, settings, ranks, threads, steps):
    """The median of train/step_seconds, but for the first fifth."""
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        words = ["run", spec, *settings, f"training.steps={steps}", "training.log_every_steps=1",
                 "evaluation.metrics=[]", "evaluation.samples=0",
                 "--out", str(run), "--threads", str(threads)]
        launch = [] if ranks == 1 else ["launch", "--ranks", str(ranks)]
        subprocess.run([program, *launch, *words], check=True, stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    seconds = [line["train/step_seconds"] for line in lines if "train/step_seconds" in line]
    return statistics.median(seconds[len(seconds) // 5:])


def take_turns(turns, measure):
    """Prints the smallest of the seconds that measure(ranks, threads) finds each way."""
    best = {}
    for _ in range(turns):
        for way, (ranks, threads) in WAYS.items():
            seconds = measure(ranks, threads)
            best[way] = min(seconds, best.get(way, seconds))
    one = best["1 rank, 1 thread"]
    print("| way | ms a step | times as fast |\n|---|---|---|")
    for way, seconds in best.items():
        print(f"| {way} | {1e3 * seconds:.1f} | {one / seconds:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("spec")
    parser.add_argument("settings", nargs="*")
    a = parser.parse_args()
    take_turns(a.turns, lambda ranks, threads: step_seconds(a.program, a.spec, a.settings, ranks, threads, a.steps))


if __name__ == "__main__":
    main()
