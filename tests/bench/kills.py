#!/usr/bin/env python3
"""Kills ranks of a launch at random moments, and says what each kill cost.

  /usr/bin/python3 tests/bench/kills.py --program build/release/bin/marginalia

Each launch loses one rank, by SIGKILL and SIGSTOP in turns, at a moment drawn from the whole of the run, its start and
evaluation too. It must end with exit status 0, the figures and the parameters of an unbroken run bit for bit, and leave
no process and nothing half-written. Seconds lost: of the launch, less those of an unbroken one.
"""
import argparse
import hashlib
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TIMES = {"seconds", "train/step_seconds", "train/data_wait_seconds"}
PATIENCE = 300  # seconds, of a launch


def write_spec(folder, steps):
    draw = random.Random(1)
    rows = []
    for _ in range(2000):
        row = [draw.getrandbits(1)]
        for _ in range(19):
            row.append(row[-1] ^ (draw.random() < 0.2))
        rows.append(",".join(map(str, map(int, row))))
    (folder / "rows.txt").write_text("\n".join(rows) + "\n")
    spec = {"marginalia": 2, "seed": 1,
            "dataset": {"type": "table", **dict.fromkeys(["train", "valid", "test"], "rows.txt")},
            "network": {"type": "mlp", "hidden": 64}, "family": {"type": "any_order_arm"},
            "training": {"steps": steps, "batch_size": 64, "log_every_steps": 20,
                         "checkpoint": {"every_steps": steps // 12}},
            "evaluation": {"every_steps": steps // 6, "during": ["nll"], "select": {"metric": "nll/one_order", "split": "valid"},
                           "metrics": ["nll"]}}
    file = folder / "kills.json"
    file.write_text(json.dumps(spec))
    return file


def start(a, spec, run, ranks):
    words = [a.program, "launch", "--ranks", str(ranks), "run", str(spec), "--out", str(run), "--threads", "1"]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if key not in TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def figures(run):
    """What the run came to: its metrics, samples, evaluation, and the bytes of its last checkpoint's tensors."""
    checkpoint = (run / "checkpoints" / "last.safetensors").read_bytes()
    tensors = checkpoint[8 + int.from_bytes(checkpoint[:8], "little"):]
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return {"metrics": [without_times(json.loads(line)) for line in lines],
            "samples": {file.name: file.read_text() for file in sorted((run / "samples").iterdir())},
            "evaluation": without_times(json.loads((run / "evaluation.json").read_text())["metrics"]),
            "best": os.readlink(run / "checkpoints" / "best.safetensors"),
            "tensors": hashlib.sha256(tensors).hexdigest()}


def read_process(number, what):
    try:
        return pathlib.Path("/proc", str(number), what).read_bytes()
    except OSError:  # it has ended
        return b""


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def find_rank(launcher, rank):
    """The process of a rank; None: it is not there."""
    for number in processes():
        parent = read_process(number, "stat").rpartition(b")")[2].split()[1:2]
        if parent == [str(launcher).encode()] and b"\0RANK=%d\0" % rank in b"\0" + read_process(number, "environ"):
            return number
    return None


def hit(launch, rank, sent, at):
    """Sends a rank a signal at a moment, or as soon as it is there.  -> whether it was there."""
    time.sleep(at)
    while launch.poll() is None:
        number = find_rank(launch.pid, rank)
        if number:
            os.kill(number, sent)
            return True
        time.sleep(0.002)
    return False


def left_behind(folder, run):
    """What a launch should not have left."""
    faults = [f"process {number}" for number in processes()
              if str(run).encode() in read_process(number, "cmdline") and number != os.getpid()]
    faults += [str(file.relative_to(folder)) for file in folder.rglob("*.tmp-*")]
    return faults + [file.name for file in folder.iterdir() if file.name.startswith(run.name + ".old")]


def measure(a, folder, spec, name, ranks, kill=None):
    """A launch from its start to its end; kill: rank, signal, moment.  -> seconds, figures; None: there was no rank."""
    run = folder / name
    began = time.monotonic()
    launch = start(a, spec, run, ranks)
    was_hit = kill and hit(launch, *kill)
    said = launch.communicate(timeout=PATIENCE)[1]
    seconds = time.monotonic() - began
    faults = left_behind(folder, run)
    if launch.returncode or faults or not (run / "report.html").exists():
        sys.exit(f"{name}: exit status {launch.returncode}; left: {faults}\n{said}")
    if kill and not was_hit:
        return None
    if kill and f"rank {kill[0]} was" not in said and "restart" in said:
        sys.exit(f"{name}: the rank is not named\n{said}")
    return seconds, figures(run)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=480)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    draw = random.Random(a.seed)
    lost = {signal.SIGKILL: [], signal.SIGSTOP: []}
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        spec = write_spec(folder, a.steps)
        whole = {ranks: measure(a, folder, spec, f"whole-{ranks}", ranks) for ranks in (2, 4)}
        for ranks, (seconds, _) in whole.items():
            print(f"unbroken, {ranks} ranks: {seconds:.1f} s")
        print("| kill | ranks | signal | rank | at, s | lost, s |\n|---|---|---|---|---|---|")
        n = 0
        while n < a.kills:
            ranks, sent = (4 if n % 5 == 4 else 2), list(lost)[n % 2]
            seconds, expected = whole[ranks]
            rank, at = draw.randrange(ranks), draw.uniform(0, seconds)
            found = measure(a, folder, spec, f"kill-{n}-{len(os.listdir(folder))}", ranks, (rank, sent, at))
            if not found:  # it had ended by then
                continue
            n += 1
            if found[1] != expected:
                parts = [key for key in expected if found[1][key] != expected[key]]
                sys.exit(f"kill {n}: {sent.name} of rank {rank} of {ranks} after {at:.2f} s: other {', '.join(parts)}")
            lost[sent].append(found[0] - seconds)
            print(f"| {n} | {ranks} | {sent.name} | {rank} | {at:.1f} | {lost[sent][-1]:.1f} |", flush=True)
    everything = sum(lost.values(), [])
    median = statistics.median(everything)
    for sent, seconds in lost.items():
        if seconds:
            print(f"{sent.name}: {len(seconds)} kills, median {statistics.median(seconds):.1f} s, "
                  f"most {max(seconds):.1f} s")
    print(f"all: the figures of unbroken runs; {len(everything)} kills, median {median:.1f} s lost (at most 15)")
    sys.exit(median > 15)


if __name__ == "__main__":
    main()
