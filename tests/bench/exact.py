#!/usr/bin/python3
"""Exact sums and most probable states of factor graphs: this program beside Debian's toulbar2, in one run.

    MARGINALIA_DATA=DIR /usr/bin/python3 tests/bench/exact.py [--only DBN_11,CSP_13] [--limit 120] [--out FILE.md]

Of each model in DIR/uai2014 (or in --models FOLDER): log Z and all marginals by `marginalia exact`, against the
recomputed values of instances.csv; the most probable state by `marginalia most-probable` and by `toulbar2`, log f of
both worked out here from the files. Printed are processor seconds (user and system, one thread), less those of a model
of one variable, which are start-up; peak memory, likewise less; and who finished within --limit processor seconds.

Of toulbar2 three things are kept in mind. Its timer may strike while it writes a state, and it then waits for itself for
ever: after five times --limit it is killed. It rounds probabilities to 7 digits, so that what it calls the optimum may be
beaten by a little. And with a tree decomposition (-B=1) its -logz prints -inf for models that have a log Z: it is
asked for log Z without one, and only with --log-z SECONDS, which it rarely needs less than.
"""
import argparse
import csv
import gzip
import json
import math
import os
import pathlib
import re
import resource
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = "MARKOV\n1\n2\n1\n1 0\n2\n0.5 0.5\n"
TOLERANCE = 1e-6  # nats, of log f


class Model:
    """A file of the UAI competitions with its evidence, unpacked into a folder that goes away."""

    def __init__(self, file, folder):
        self.name = file.name.removesuffix(".gz").removesuffix(".uai")
        self.file = folder / f"{self.name}.uai"
        self.evidence = folder / f"{self.name}.uai.evid"
        self.file.write_bytes(gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes())
        beside = file.parent / f"{self.name}.uai.evid"
        self.evidence.write_text(beside.read_text() if beside.exists() else "0\n")

    def read(self):
        words = iter(self.file.read_text().split())
        next(words)
        self.cardinalities = [int(next(words)) for _ in range(int(next(words)))]
        self.scopes = [[int(next(words)) for _ in range(int(next(words)))] for _ in range(int(next(words)))]
        self.tables = [[float(next(words)) for _ in range(int(next(words)))] for _ in self.scopes]
        given = [int(word) for word in self.evidence.read_text().split()]
        given = given[1:] if len(given) % 2 == 0 else given  # the number of samples stands before
        self.given = dict(zip(given[1::2], given[2::2]))
        return self

    def log_f(self, state):
        """log f of a whole state, -inf where it does not agree with the evidence."""
        if any(state[i] != value for i, value in self.given.items()):
            return -math.inf
        total = 0.0
        for scope, table in zip(self.scopes, self.tables):
            entry = 0
            for i in scope:
                entry = entry * self.cardinalities[i] + state[i]
            if table[entry] <= 0:
                return -math.inf
            total += math.log(table[entry])
        return total


class Run:
    """A program that ran to its end, or to its limit: what it printed, its processor seconds and its peak memory."""

    def __init__(self, command, limit):
        def limited():
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 1, int(limit) + 2))
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            child = subprocess.Popen([str(word) for word in command], stdout=out, stderr=err, stdin=subprocess.DEVNULL,
                                     env=environment, preexec_fn=limited)
            hung = threading.Timer(5 * limit, child.kill)
            hung.daemon = True
            hung.start()
            _, status, used = os.wait4(child.pid, 0)
            hung.cancel()
            child.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0), err.seek(0)
            self.out, self.err = out.read(), err.read()
        self.code = child.returncode
        self.seconds = used.ru_utime + used.ru_stime
        self.gib = used.ru_maxrss / 2**20  # KiB on Linux

    def less(self, start):
        self.seconds = max(self.seconds - start.seconds, 0.0)
        self.gib = max(self.gib - start.gib, 0.0)
        return self


class Need:
    """What the messages of all marginals take, as a refusal with no memory allowed says it."""
    pattern = re.compile(r"induced width (?P<at_least>at least )?(?P<width>\d+) .*no order has less than (?P<least>\d+)\) "
                         r"and would need (?P<gib>\S+) GiB")

    def __init__(self, run):
        found = self.pattern.search(run.err)
        self.width = found and ("at least " if found["at_least"] else "") + found["width"]
        self.least = found and int(found["least"])
        self.gib = float(found["gib"]) if found else 0.0  # none: nothing is left to sum

    def holds(self, run):
        """Whether peak memory is at most 1.2 times the bytes of all messages, and 0.1 GiB."""
        return run.gib <= 1.2 * self.gib + 0.1


class Programs:
    """Both programs, and what they take for nothing."""

    def __init__(self, wanted, folder):
        self.wanted, self.folder = wanted, folder
        tiny = folder / "tiny.uai"
        tiny.write_text(TINY)
        (folder / "tiny.uai.evid").write_text("0\n")
        self.starts = {}
        model = Model(tiny, folder / "unpacked")
        for ask in (self.exact, self.most_probable, self.toulbar2):
            runs = [ask(model) for _ in range(3)]
            self.starts[ask.__name__] = min(runs, key=lambda run: run.seconds)

    def ended(self, name, run):
        return run.less(self.starts[name]) if name in self.starts else run

    def ours(self, verb, model, *options):
        return Run([self.wanted.program, verb, model.file, "--threads", 1, *options], self.wanted.limit)

    def exact(self, model):
        run = self.ours("exact", model)
        run.log_z = json.loads(run.out)["log_z"] if run.code == 0 else None
        return self.ended("exact", run)

    def need(self, model):
        return Need(self.ours("exact", model, "energy.memory=0"))

    def most_probable(self, model):
        run = self.ours("most-probable", model, "--seconds", self.wanted.seconds)
        answer = json.loads(run.out) if run.code == 0 else {}
        run.state, run.proved, run.upper = answer.get("x"), answer.get("proved", False), answer.get("upper")
        return self.ended("most_probable", run)

    def toulbar2(self, model):
        found = self.folder / "state.sol"
        found.unlink(missing_ok=True)
        run = Run(["toulbar2", model.file, model.evidence, f"-w={found}", f"-timer={int(self.wanted.seconds)}"],
                  self.wanted.limit)
        words = found.read_text().split() if found.exists() else []
        run.state = [int(word) for word in words] or None
        run.proved = bool(re.search(r"^Optimum: ", run.out, re.MULTILINE))
        return self.ended("toulbar2", run)

    def log_z_of_toulbar2(self, model, seconds):
        """In nats; None where it does not finish. Never with a tree decomposition."""
        run = Run(["toulbar2", model.file, model.evidence, "-logz", "-epsilon=1000000"], seconds)
        found = re.search(r"Log\(Z\)=\s*(\S+)", run.out)
        return float(found[1]) if found and run.code == 0 else None


def shown(run):
    return f"{run.seconds:.2f}" if run else "-"


def compared(ours, theirs):
    """How log f of both states compare, in words."""
    if ours is None or theirs is None:
        return "-"
    return "equal" if abs(ours - theirs) <= TOLERANCE else f"{ours - theirs:+.3g}"


def measure(model, programs, known, wanted):
    model.read()
    exact, ours, theirs = programs.exact(model), programs.most_probable(model), programs.toulbar2(model)
    values = [None if run.state is None or len(run.state) != len(model.cardinalities) else model.log_f(run.state)
              for run in (ours, theirs)]
    row = {"model": model.name, "log_z": exact.log_z, "truth": known.get(model.name), "exact": exact, "ours": ours,
           "theirs": theirs, "values": values, "log_z_theirs": None, "need": programs.need(model)}
    if wanted.log_z:
        row["log_z_theirs"] = programs.log_z_of_toulbar2(model, wanted.log_z)
    return row


def line(row, log_z):
    exact, ours, theirs, need = row["exact"], row["ours"], row["theirs"], row["need"]
    error = "-" if None in (row["log_z"], row["truth"]) else f"{abs(row['log_z'] - row['truth']):.1g}"
    cells = [row["model"], need.width or "-", need.least or "-", f"{need.gib:.3g}",
             "refused" if row["log_z"] is None else f"{row['log_z']:.9g}", error,
             shown(exact) if row["log_z"] is not None else "-", f"{exact.gib:.2f}" if row["log_z"] is not None else "-",
             "-" if row["values"][0] is None else f"{row['values'][0]:.9g}", compared(*row["values"]),
             shown(ours), "yes" if ours.proved else "no", f"{ours.gib:.2f}",
             shown(theirs), "yes" if theirs.proved else "no", f"{theirs.gib:.2f}"]
    if log_z:
        cells.append("-" if row["log_z_theirs"] is None else f"{row['log_z_theirs']:.9g}")
    return "| " + " | ".join(map(str, cells)) + " |"


def table(rows, starts, wanted):
    heads = ["model", "width", "no order less than", "messages GiB", "log Z", "error", "s", "GiB", "log f",
             "less toulbar2's", "s", "proved", "GiB", "toulbar2 s", "proved", "GiB"]
    heads += ["its log Z"] if wanted.log_z else []
    text = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    text += [line(row, wanted.log_z) for row in rows]
    both = [row for row in rows if row["ours"].proved and row["theirs"].proved]
    slow = [row for row in both if row["theirs"].seconds >= 0.5]
    fast = [row for row in slow if row["ours"].seconds <= 2 * row["theirs"].seconds]
    worse = [row["model"] for row in both if None in row["values"] or row["values"][0] < row["values"][1] - TOLERANCE]
    over = [row["model"] for row in rows if row["log_z"] is not None and not row["need"].holds(row["exact"])]
    alone = [[row["model"] for row in rows if a(row) and not b(row)]
             for a, b in ((lambda r: r["ours"].proved, lambda r: r["theirs"].proved),
                          (lambda r: r["theirs"].proved, lambda r: r["ours"].proved))]
    solved = [row for row in rows if row["log_z"] is not None]
    text += ["", f"Start-up, taken off: {', '.join(f'{n} {r.seconds:.2f} s, {r.gib:.2f} GiB' for n, r in starts.items())}.",
             f"log Z and all marginals: {len(solved)} of {len(rows)}, {sum(r['exact'].seconds for r in solved):.1f} s together.",
             f"Peak memory above 1.2 times the messages' bytes and 0.1 GiB: {', '.join(over) or 'none'}.",
             f"Most probable states proved by both: {len(both)}; ours below toulbar2's: {', '.join(worse) or 'none'}.",
             f"Of the {len(slow)} that take toulbar2 0.5 s or more, {len(fast)} take this program at most twice as long.",
             f"Proved by this program alone: {', '.join(alone[0]) or 'none'}; by toulbar2 alone: {', '.join(alone[1]) or 'none'}."]
    return "\n".join(text) + "\n"


def models_in(wanted):
    folder = pathlib.Path(wanted.models or pathlib.Path(os.environ.get("MARGINALIA_DATA", "")) / "uai2014")
    files = sorted(file for file in folder.glob("*.uai*") if re.search(r"\.uai(\.gz)?$", file.name))
    if wanted.only:
        files = [file for file in files if file.name.split(".uai")[0] in wanted.only.split(",")]
    if not files:
        sys.exit(f"exact.py: {folder}: holds none of the models; set MARGINALIA_DATA, or --models")
    return folder, files


def truths(folder):
    """ln Z by model, as recomputed."""
    file = folder / "instances.csv"
    if not file.exists():
        return {}
    return {row["instance"]: float(row["exact_lnZ"]) for row in csv.DictReader(file.open()) if row["exact_lnZ"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "build/release/bin/marginalia")
    parser.add_argument("--models", help="folder of .uai files; else $MARGINALIA_DATA/uai2014")
    parser.add_argument("--only", help="names of models, separated by commas")
    parser.add_argument("--limit", type=float, default=120, help="processor seconds of one run")
    parser.add_argument("--seconds", type=float, default=60, help="of a search for the most probable state, both programs")
    parser.add_argument("--log-z", type=float, default=0, help="seconds for toulbar2's log Z; 0: not asked")
    parser.add_argument("--out", type=pathlib.Path, help="file for the table, which is printed as well")
    wanted = parser.parse_args()
    folder, files = models_in(wanted)
    known = truths(folder)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = pathlib.Path(temporary)
        (scratch / "unpacked").mkdir()
        programs = Programs(wanted, scratch)
        rows = []
        for file in files:
            rows.append(measure(Model(file, scratch / "unpacked"), programs, known, wanted))
            print(line(rows[-1], wanted.log_z), file=sys.stderr, flush=True)
        text = table(rows, programs.starts, wanted)
    print(text)
    if wanted.out:
        wanted.out.parent.mkdir(parents=True, exist_ok=True)
        wanted.out.write_text(text)


if __name__ == "__main__":
    main()
