#!/usr/bin/python3
"""Range queries on a table: a model's probabilities against counts, and against its own samples.

    /usr/bin/python3 tests/bench/ranges.py RUN --table FILE.csv --training FILE.csv [--queries 200] [--samples 1000000]

Queries are of one to four columns, ranges of numbers and sets of labels around a row of FILE. Printed are the q-error
max(p / f, f / p) of the model and of counts in the training rows, f the share of FILE's rows (of those that know the
columns; at least one row), the processor milliseconds a query of a call with all less a call with one, and, with --samples,
how many of the model's own frequencies lie within four binomial errors of its probabilities, or within its intervals where it
estimates. FILE has the columns of the model's table, by name. Needs python3-pandas.
"""
import argparse
import csv
import json
import math
import pathlib
import random
import resource
import tempfile

import numpy
import pandas

from tables import GAPS, ROOT, call


def quoted(text):
    return '"' + text.replace('"', '""') + '"'


class Query:
    """Conditions on some columns, all of which hold."""

    def __init__(self, row, kinds, values, draw):
        known = [name for name in kinds if row[name] not in GAPS]
        self.columns = draw.sample(known, draw.randint(1, min(4, len(known))))
        self.parts, self.holds = [], []
        for name in self.columns:
            if kinds[name] == "number":
                here, far = float(row[name]), abs(draw.choice(values[name]) - float(row[name]))
                low, high = draw.choice([(None, here), (here, None), (here - far, here + far)])
                self.parts += [f"{quoted(name)}{sign}{end:.10g}" for sign, end in ((">=", low), ("<=", high))
                               if end is not None]
                low, high = (float(f"{x:.10g}") if x is not None else None for x in (low, high))
                self.holds.append(lambda t, n=name, a=low, b=high: (t[n] >= (-math.inf if a is None else a)) &
                                  (t[n] <= (math.inf if b is None else b)))
            else:
                labels = list({row[name], *draw.sample(values[name], draw.randint(0, min(2, len(values[name]))))})
                self.parts.append(f"{quoted(name)} in ({', '.join(map(quoted, labels))})")
                self.holds.append(lambda t, n=name, of=labels: t[n].isin(of))

    def text(self):
        return ", ".join(self.parts)

    def share(self, table):
        """-> rows that know its columns, and the share of them that it holds of."""
        known = table[self.columns].notna().all(axis=1)
        return int(known.sum()), float(numpy.logical_and.reduce([h(table) for h in self.holds] + [known]).sum() / known.sum())


def read(file, kinds):
    table = pandas.read_csv(file, dtype=str, keep_default_na=False, na_values=list(GAPS), skipinitialspace=True)
    for name, kind in kinds.items():
        if kind == "number":
            table[name] = pandas.to_numeric(table[name])
    return table


def processor_seconds():
    """Of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def probabilities(wanted, queries):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(query.text() + "\n" for query in queries))
        file.flush()
        before = processor_seconds()
        out = call([wanted.program, "table", "probability", wanted.run, "--target", f"@{file.name}", "--threads", 1])
        seconds = processor_seconds() - before
    rows = list(csv.DictReader(out.splitlines()))
    return [{key: float(row[key]) for key in ("probability", "lower", "upper")} | {"status": row["status"]}
            for row in rows], seconds


def q_errors(given, truth, rows):
    errors = [max(max(p, 1 / n) / max(f, 1 / n), max(f, 1 / n) / max(p, 1 / n)) for p, f, n in zip(given, truth, rows)]
    middle, most, largest = numpy.quantile(errors, [0.5, 0.95, 1])
    return f"median {middle:.3f}, 95 % {most:.3f}, largest {largest:.3f}"


def within(answer, share, rows):
    if answer["status"] != "exact":
        return answer["lower"] <= share <= answer["upper"]
    p = answer["probability"]
    return abs(share - p) <= 4 * math.sqrt(p * (1 - p) / rows) + 1e-12


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--table", type=pathlib.Path, required=True)
    parser.add_argument("--training", type=pathlib.Path, required=True)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/bin/marginalia")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--samples", type=int, default=0)
    wanted = parser.parse_args()
    schema = json.loads((wanted.run / "dataset.json").read_text())["schema"]["columns"]
    kinds = {c["name"]: "number" if c["kind"] in ("number", "integer") else "label"
             for c in schema if c["kind"] in ("number", "integer", "category", "boolean")}
    table, training = read(wanted.table, kinds), read(wanted.training, kinds)
    values = {name: sorted(training[name].dropna().unique()) for name in kinds}
    draw = random.Random(0)
    texts = pandas.read_csv(wanted.table, dtype=str, keep_default_na=False, skipinitialspace=True)
    queries = [Query(texts.iloc[draw.randrange(len(texts))], kinds, values, draw) for _ in range(wanted.queries)]
    answers, seconds = probabilities(wanted, queries)
    _, empty = probabilities(wanted, queries[:1])
    rows, truth = zip(*(query.share(table) for query in queries))
    print(f"model: q-error {q_errors([a['probability'] for a in answers], truth, rows)}")
    print(f"counts of training rows: q-error {q_errors([q.share(training)[1] for q in queries], truth, rows)}")
    print(f"{1000 * (seconds - empty) / (len(queries) - 1):.2f} ms a query")
    if wanted.samples:
        with tempfile.NamedTemporaryFile(suffix=".csv") as file:
            call([wanted.program, "table", "sample", wanted.run, "--count", wanted.samples, "--out", file.name])
            samples = read(file.name, kinds)
        inside = sum(within(a, q.share(samples)[1], wanted.samples) for a, q in zip(answers, queries))
        print(f"{inside} of {len(queries)} frequencies of {wanted.samples} samples within what is said of them")


if __name__ == "__main__":
    main()
