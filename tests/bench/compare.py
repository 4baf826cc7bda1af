#!/usr/bin/python3
"""Seconds of one training step: the published one in PyTorch against ours, side by side.

Runs paper_step.py and `marginalia run SPEC` in turn, in float32 and in bfloat16, on the same cores
with the same number of threads, several rounds, so that what else the machine does meets all
alike. A figure is the best of its rounds' medians over steps; a ratio is how many times faster than
the PyTorch step. Exit code 1 when a ratio is below --at-least (float32, bfloat16).
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PRECISIONS = ("float32", "bfloat16")


def on_cores(command, threads):
    """Runs `command` on the first `threads` cores this process may use. -> its stdout"""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    done = subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE,
                          preexec_fn=lambda: os.sched_setaffinity(0, cores))
    if done.returncode != 0:
        sys.exit(f"{done.stderr}\n{' '.join(map(str, command))}: exit {done.returncode}")
    return done.stdout


def reference(wanted, threads):
    out = on_cores(["/usr/bin/python3", HERE / "paper_step.py", "--threads", threads,
                    "--steps", wanted.steps, "--warmup", wanted.warmup], threads)
    result = json.loads(out)
    return result["seconds_per_step"], result["loss"][-1]


def ours(wanted, threads, precision):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "run"
        on_cores([wanted.program, "run", wanted.spec, f"training.steps={wanted.warmup + wanted.steps}",
                  f"training.precision={precision}", "training.log_every_steps=1",
                  "evaluation.metrics=[]", "evaluation.samples=0", "--threads", threads,
                  "--out", out], threads)
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "train/step_seconds" in line]
    measured = [line["train/step_seconds"] for line in steps[wanted.warmup:]]
    if not measured:
        sys.exit("metrics.jsonl: no \"train/step_seconds\" after the warm-up")
    return statistics.median(measured), steps[-1].get("train/loss", float("nan"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=ROOT / "build/release/bin/marginalia")
    parser.add_argument("--spec", default=ROOT / "experiments/ising/paper.json")
    parser.add_argument("--threads", type=int, nargs="+",
                        default=[len(os.sched_getaffinity(0))])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--at-least", type=float, nargs=2, metavar="RATIO", default=[0, 0])
    wanted = parser.parse_args()

    enough = True
    print(f"{'threads':>7}  {'step':<28}{'seconds':>9}{'ratio':>8}{'last loss':>12}")
    for threads in wanted.threads:
        jobs = {"published, PyTorch float32": lambda: reference(wanted, threads)}
        for precision in PRECISIONS:
            jobs[f"marginalia, {precision}"] = lambda p=precision: ours(wanted, threads, p)
        rounds = [{name: job() for name, job in jobs.items()} for _ in range(wanted.rounds)]
        best = {name: min(r[name] for r in rounds) for name in jobs}
        yardstick = next(iter(best.values()))[0]
        for name, (seconds, loss) in best.items():
            print(f"{threads:>7}  {name:<28}{seconds:>9.3f}{yardstick / seconds:>8.2f}{loss:>12.5g}")
        ratios = [yardstick / seconds for seconds, _ in list(best.values())[1:]]
        enough &= all(r >= least for r, least in zip(ratios, wanted.at_least))
    sys.exit(0 if enough else 1)


if __name__ == "__main__":
    main()
