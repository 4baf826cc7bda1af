#!/usr/bin/python3
"""The cost of a training step in ranks, as docs/scaling.md models it, held against what is measured.

    /usr/bin/python3 tests/bench/scaling.py --program build/release/bin/marginalia SPEC [KEY=VALUE ...]
    sudo /usr/bin/python3 tests/bench/scaling.py --program ... --megabits 1000 100 SPEC [KEY=VALUE ...]

Its two parts are measured apart: the step of one process with a rank's share of the batch, and c10d's all-reduce of as many bytes as
the network has (python3-torch, whose Gloo is the same). Then the spec is trained by 1, 2, 4, ... ranks of one thread, more
than there are processors too. With --megabits each rank has a network namespace of its own, from which no more than that
leaves (tc's tbf); that needs root and iproute2. Prints a table: predicted from and to, measured.
"""
import argparse
import contextlib
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile

ALL_REDUCE = """
import sys, time, torch
import torch.distributed as c10d
torch.set_num_threads(1)
c10d.init_process_group("gloo")
x = torch.zeros(int(sys.argv[1]))
seconds = []
for _ in range(5):
    c10d.barrier()
    start = time.perf_counter()
    c10d.all_reduce(x)
    seconds.append(time.perf_counter() - start)
if c10d.get_rank() == 0:
    print(sorted(seconds)[2])
"""


def shell(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def network(ranks, megabits):
    """-> (what each rank's command begins with, where rank 0 is, the interface); megabits None: this machine's loopback."""
    if megabits is None:
        yield [[] for _ in range(ranks)], "127.0.0.1", "lo"
        return
    names = [f"marginalia{rank}" for rank in range(ranks)]
    try:
        shell("ip", "link", "add", "marginalia", "type", "bridge")
        shell("ip", "link", "set", "marginalia", "up")
        for rank, name in enumerate(names):
            shell("ip", "netns", "add", name)
            shell("ip", "link", "add", name, "type", "veth", "peer", "name", "net0", "netns", name)
            shell("ip", "link", "set", name, "master", "marginalia", "up")
            for words in (["ip", "address", "add", f"10.99.0.{rank + 1}/24", "dev", "net0"], ["ip", "link", "set", "net0", "up"],
                          ["ip", "link", "set", "lo", "up"],
                          ["tc", "qdisc", "add", "dev", "net0", "root", "tbf", "rate", f"{megabits}mbit", "burst", "256kb",
                           "latency", "200ms"]):
                shell("ip", "netns", "exec", name, *words)
        yield [["ip", "netns", "exec", name] for name in names], "10.99.0.1", "net0"
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "delete", "marginalia"], stderr=subprocess.DEVNULL)


def run_ranks(words, ranks, place):
    """Runs `words` as so many ranks.  -> what rank 0 prints."""
    before, address, interface = place
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(ranks), "MASTER_ADDR": address, "MASTER_PORT": str(port),
              "GLOO_SOCKET_IFNAME": interface}
    processes = [subprocess.Popen([*before[rank], *words], env=common | {"RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
                 for rank in range(ranks)]
    said = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit(f"a rank of {ranks} failed: {' '.join(words)}")
    return said[0]


def step_seconds(a, ranks, batch, place):
    """-> (the median of a step, the parameters of the run)"""
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        words = [a.program, "run", a.spec, *a.settings, f"training.batch_size={batch}", f"training.steps={a.steps}",
                 "training.log_every_steps=1", "evaluation.metrics=[]", "evaluation.samples=0",
                 "--out", str(run), "--threads", "1"]
        run_ranks(words, ranks, place)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        seconds = [line["train/step_seconds"] for line in lines if "train/step_seconds" in line]
        return statistics.median(seconds[len(seconds) // 5:]), json.loads((run / "run.json").read_text())["parameters"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--ranks", type=int, nargs="*", default=[2, 4, 8])
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--batch", type=int, required=True, help="training.batch_size of all ranks")
    parser.add_argument("--megabits", type=int, nargs="*", default=[], help="a second that leave a rank")
    parser.add_argument("spec")
    parser.add_argument("settings", nargs="*")
    a = parser.parse_args()
    a.program, cores = str(pathlib.Path(a.program).resolve()), len(os.sched_getaffinity(0))
    alone = {}
    with network(1, None) as place:
        for ranks in [1, *a.ranks]:
            alone[ranks], parameters = step_seconds(a, 1, a.batch // ranks, place)
    print(f"{parameters} parameters; a step of one process {1e3 * alone[1]:.1f} ms; {cores} processors\n")
    print("| network | ranks | computing, ms | sums, ms | predicted, ms | measured, ms |\n|---|---|---|---|---|---|", flush=True)
    for megabits in [None, *a.megabits]:
        for ranks in a.ranks:
            with network(ranks, megabits) as place:
                sums = float(run_ranks([sys.executable, "-c", ALL_REDUCE, str(parameters)], ranks, place))
                measured, _ = step_seconds(a, ranks, a.batch, place)
            computing = max(1, ranks / cores) * alone[ranks]
            low, high = max(computing, sums), computing + sums
            name = "loopback" if megabits is None else f"{megabits} Mbit/s"
            print(f"| {name} | {ranks} | {1e3 * computing:.1f} | {1e3 * sums:.1f} | {1e3 * low:.1f} to {1e3 * high:.1f} | "
                  f"{1e3 * measured:.1f} |", flush=True)


if __name__ == "__main__":
    main()
