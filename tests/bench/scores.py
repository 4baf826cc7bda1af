#!/usr/bin/python3
"""Scores of a table's cells: whether p-values are what they say, and whether wrong cells stand out.

    /usr/bin/python3 tests/bench/scores.py RUN --table TEST.csv --training TRAIN.csv [--share 0.01] [--seed 0]

Of TEST as it is: the share of cells, and of the worst column's, with a p-value of at most .001, .01, .05 and .1. Then a share
of its known cells of categories, integers and numbers is replaced by another value of its column, drawn from the training
rows without the value that stood there, and cells are ranked: AUROC and average precision of the model's surprise
-log p(cell | rest) and of its p-value, beside -log p(row), the column's frequency of the value in the training rows
(numbers: of its bin of twenty), and an isolation forest's score of the row. Needs python3-pandas and python3-sklearn.
"""
import argparse
import csv
import json
import pathlib
import random
import tempfile

import numpy
import pandas
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score

from tables import GAPS, ROOT, call

LEVELS = (0.001, 0.01, 0.05, 0.1)


def read(file):
    return pandas.read_csv(file, dtype=str, keep_default_na=False)


def scored(wanted, file, folder, words):
    out = folder / "scores.csv"
    call([wanted.program, "table", "score", wanted.run, file, "--out", out, *words])
    return read(out)


def replaced(table, training, names, share, seed):
    """-> the table with some cells replaced, {(row, column)} of these."""
    draw, table, where = random.Random(seed), table.copy(), set()
    pools = {name: [v for v in training[name] if v not in GAPS] for name in names}
    cells = [(row, name) for name in names for row in range(len(table)) if table.at[row, name] not in GAPS]
    for row, name in draw.sample(cells, round(share * len(cells))):
        here = table.at[row, name]
        others = next((v for v in (draw.choice(pools[name]) for _ in range(10000)) if v != here), None)
        if others is not None:
            table.at[row, name] = others
            where.add((row, name))
    return table, where


def frequencies(table, training, kinds):
    """How rare each cell's value is in its column: {column: [rows]}."""
    rare = {}
    for name, kind in kinds.items():
        of, known = table[name], training[name][~training[name].isin(GAPS)]
        if kind == "number":
            numbers = pandas.to_numeric(known)
            edges = numpy.unique(numpy.quantile(numbers, numpy.linspace(0, 1, 21)))
            place = lambda values: numpy.clip(numpy.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2)
            counts = numpy.bincount(place(numbers), minlength=len(edges))
            values = pandas.to_numeric(of.where(~of.isin(GAPS))).fillna(numbers.median())
            rare[name] = -numpy.log((counts[place(values)] + 1) / (len(known) + len(edges)))
        else:
            counts = known.value_counts()
            rare[name] = -numpy.log((of.map(counts).fillna(0).to_numpy(float) + 1) / (len(known) + len(counts)))
    return rare


def forest_scores(table, training, kinds, seed):
    """How isolated each row is; labels as columns of 0 and 1."""
    numbers = [name for name, kind in kinds.items() if kind in ("number", "integer")]
    both = pandas.concat([training, table], ignore_index=True)
    parts = [both[numbers].apply(lambda of: pandas.to_numeric(of.where(~of.isin(GAPS)))).pipe(lambda of: of.fillna(of.median()))]
    parts.append(pandas.get_dummies(both[[name for name in kinds if name not in numbers]]))
    x = pandas.concat(parts, axis=1).to_numpy(float)
    forest = IsolationForest(n_estimators=200, random_state=seed).fit(x[:len(training)])
    return -forest.score_samples(x[len(training):])


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("run", type=pathlib.Path)
    words.add_argument("--table", type=pathlib.Path, required=True)
    words.add_argument("--training", type=pathlib.Path, required=True)
    words.add_argument("--share", type=float, default=0.01)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/bin/marginalia")
    wanted = words.parse_args()
    schema = json.loads((wanted.run / "dataset.json").read_text())["schema"]
    kinds = {c["name"]: c["kind"] for c in schema["columns"] if c["kind"] not in ("ignored", "weight", "date")}
    table, training = read(wanted.table), read(wanted.training)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        clean = scored(wanted, wanted.table, folder, ["--cells"])
        p = pandas.to_numeric(clean["p_value"])
        for level in LEVELS:
            by_column = (p <= level).groupby(clean["column"]).mean()
            print(f"p <= {level}: {(p <= level).mean():.4f} of {len(p)} clean cells; most {by_column.max():.4f}, {by_column.idxmax()}")
        if round(wanted.share * len(p)) == 0:
            words.error(f"--share {wanted.share} of {len(p)} cells is none")
        altered, where = replaced(table, training, list(kinds), wanted.share, wanted.seed)
        file = folder / "altered.csv"
        altered.to_csv(file, index=False, quoting=csv.QUOTE_MINIMAL)
        cells = scored(wanted, file, folder, ["--cells"])
        rows = scored(wanted, file, folder, [])
    at = pandas.to_numeric(cells["row"]).to_numpy() - 1
    names = cells["column"].to_numpy()
    wrong = numpy.array([(row, name) in where for row, name in zip(at, names)])
    rare, forest = frequencies(altered, training, kinds), forest_scores(altered, training, kinds, wanted.seed)
    log_p = pandas.to_numeric(rows["_log_p"]).to_numpy()
    print(f"{wrong.sum()} of {len(wrong)} cells replaced")
    for name, score in {
            "surprise": pandas.to_numeric(cells["surprise"]).to_numpy(),
            "p-value": -pandas.to_numeric(cells["p_value"]).to_numpy(),
            "row": -log_p[at],
            "column frequency": numpy.array([rare[column][row] for row, column in zip(at, names)]),
            "isolation forest": forest[at]}.items():
        print(f"{name}: AUROC {roc_auc_score(wrong, score):.3f}, average precision {average_precision_score(wrong, score):.3f}")


if __name__ == "__main__":
    main()
