#!/usr/bin/python3
"""Hidden cells of tables, filled by a model and by chained equations (mice), and scored alike.

    /usr/bin/python3 tests/bench/fill.py run --tables FOLDER --out FOLDER [--splits 3] [--seconds 30] [--shares 0.1 0.3 0.5] [--only mpg]
    /usr/bin/python3 tests/bench/fill.py show --out FOLDER

Of each table and split at most 5,000 rows are learned from, and of at most 1,000 others a share of the known cells is
hidden; with --holes the same share of the rows that are learned from. The model (experiments/tables/any.json) and mice
(m = 20, the scored rows by `ignore`) draw each gap twenty times. Scores are in their fair forms, which do not depend on
how many draws there are (Ferro 2014, doi:10.1002/qj.2270):

  categories: Brier = sum_k (f_k - [k = y])^2 - sum_k f_k (1 - f_k) / (M - 1),  f_k the share of draws that are k
  numbers: CRPS = mean_m |x_m - y| - sum_mn |x_m - x_n| / (2 M (M - 1)), over the column's range

A table's score is the mean over its columns. `show` prints means and 95 % intervals of the difference by a bootstrap of
rows. Beside them: draws from the columns' frequencies. Needs python3-pandas, r-cran-mice and
r-cran-nnet (which it recommends).
"""
import csv
import json
import pathlib
import random
import subprocess
import sys

import numpy
import pandas

import tables

HERE = pathlib.Path(__file__).resolve().parent
DRAWS = 20
MOST_LEARNED, MOST_SCORED = 5000, 1000


def split_rows(name, seed, count):
    """-> rows to learn from (the last tenth of them validates), rows to score."""
    order = list(range(count))
    random.Random(f"fill {name} {seed}").shuffle(order)
    scored = min(MOST_SCORED, max(count // 5, 1))
    return order[scored:scored + MOST_LEARNED], order[:scored]


def with_holes(rows, share, names, hidable, seed):
    """The rows with this share of their known cells hidden, and which cells these are: [(row, column)]."""
    draw = random.Random(f"holes {seed}")
    rows, hidden = [list(row) for row in rows], []
    for n, row in enumerate(rows):
        known = [i for i, field in enumerate(row) if names[i] in hidable and field not in tables.GAPS]
        for i in draw.sample(known, max(1, round(share * len(known)))) if known else []:
            row[i] = ""
            hidden.append((n, i))
    return rows, hidden


def write(file, names, rows, more=()):
    with open(file, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(list(names) + [name for name, _ in more])
        writer.writerows(row + [values[n] for _, values in more] for n, row in enumerate(rows))


def fair_brier(draws, truth):
    """draws: texts [N, M]; truth: texts [N] -> [N]"""
    result = []
    for of_cell, y in zip(draws, truth):
        values, counts = numpy.unique(of_cell, return_counts=True)
        f = dict(zip(values, counts / len(of_cell)))
        brier = sum((p - (k == y)) ** 2 for k, p in f.items()) + (y not in f)
        result.append(brier - sum(p * (1 - p) for p in f.values()) / (len(of_cell) - 1))
    return numpy.array(result)


def fair_crps(draws, truth):
    """draws: [N, M]; truth: [N] -> [N]"""
    M = draws.shape[1]
    ranks = 2 * numpy.arange(1, M + 1) - M - 1  # sum_mn |x_m - x_n| = 2 sum_m rank_m x_(m)
    spread = (numpy.sort(draws, axis=1) * ranks).sum(1) / (M * (M - 1))
    return numpy.abs(draws - truth[:, None]).mean(1) - spread


def score(kinds, names, truth, hidden, drawn):
    """drawn: {column: texts [scored rows, M]} -> {column: [(row, score), ...]}"""
    scores = {}
    for i, name in enumerate(names):
        rows = [n for n, column in hidden if column == i]
        if name not in kinds or not rows:
            continue
        y, of = [truth[n][i] for n in rows], drawn[name][rows]
        if (of == "").any():
            raise RuntimeError(f"gaps are left in column {name}")
        if kinds[name]["kind"] == "number":
            low, high = kinds[name]["range"]
            values = fair_crps(of.astype(float), numpy.array(y, float)) / (high - low)
        else:
            values = fair_brier(of, y)
        scores[name] = list(zip(rows, values.tolist()))
    return scores


def draws_of(file, names, rows):
    """Of a table of all rows by each draw in turn: {column: texts [rows, DRAWS]}."""
    table = pandas.read_csv(file, dtype=str, keep_default_na=False)
    if "_row" in table:
        table = table.sort_values(["_draw", "_row"], key=lambda c: c.astype(int), kind="stable")
    return {name: table[name].to_numpy().reshape(DRAWS, rows).T for name in names if name in table}


def by_model(wanted, folder):
    tables.call([wanted.program, "table", "impute", folder / "run", folder / "holes.csv", "--draws", DRAWS, "--out",
                 folder / "model.csv"])
    return folder / "model.csv"


def by_mice(folder, names, kinds, learned, holes):
    rows = [list("" if f in tables.GAPS else f for f in row) for row in learned + holes]
    write(folder / "mice_in.csv", names, rows, [("_ignore", ["FALSE"] * len(learned) + ["TRUE"] * len(holes))])
    write(folder / "kinds.csv", ["name", "kind"], [[name, of["kind"]] for name, of in kinds.items()])
    tables.call(["Rscript", HERE / "mice.R", folder / "mice_in.csv", folder / "kinds.csv", folder / "mice.csv", DRAWS, 0])
    return folder / "mice.csv"


def by_frequency(names, learned, rows):
    draw = numpy.random.default_rng(0)
    drawn = {}
    for i, name in enumerate(names):
        known = numpy.array([row[i] for row in learned if row[i] not in tables.GAPS] or [""])
        drawn[name] = draw.choice(known, (rows, DRAWS))
    return drawn


def kinds_of(run, learned, names):
    """Of each variable of a run its kind, "number" or "category", and the range of numbers."""
    schema = json.loads((run / "dataset.json").read_text())["schema"]["columns"]
    kinds = {}
    for column in schema:
        if column["kind"] in ("number", "integer"):
            i = names.index(column["name"])
            values = [float(row[i]) for row in learned if row[i] not in tables.GAPS]
            if len(set(values)) > 1:  # a range to score by
                kinds[column["name"]] = {"kind": "number", "range": (min(values), max(values))}
        elif column["kind"] in ("category", "boolean"):
            kinds[column["name"]] = {"kind": "category"}
    return kinds


def measure(wanted, name, seed, share):
    folder = wanted.out / f"{name}-{seed}-{share:g}{'-holes' if wanted.holes else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    names, rows = tables.read_table(wanted.tables, name)
    learned_at, scored_at = split_rows(name, seed, len(rows))
    learned, truth = [rows[n] for n in learned_at], [rows[n] for n in scored_at]
    label = tables.TABLES[name][0]
    hidable = set(names) - set(tables.IGNORED.get(name, []))
    if wanted.holes:
        learned, _ = with_holes(learned, share, names, hidable, f"{name} {seed} learned")
    valid = len(learned) // 10
    write(folder / "learned.csv", names, learned,
          [(tables.SPLIT, ["train"] * (len(learned) - valid) + ["valid"] * (valid - 1) + ["test"])])
    # What columns are is found in all rows, as a user would have them.
    write(folder / "all.csv", names, rows)
    ignored = json.dumps(tables.IGNORED.get(name, []))
    schema = tables.call([wanted.program, "data", "describe", folder / "all.csv", "--json", f"ignored={ignored}",
                          f'categories=["{label}"]'])
    (folder / "schema.json").write_text(schema)
    tables.call([wanted.program, "run", tables.SPEC, "--threads", 1, "--out", folder / "run", "--force",
                 f"training.budget.seconds={wanted.seconds}", f"dataset.file={folder / 'learned.csv'}",
                 f"dataset.schema={folder / 'schema.json'}", "evaluation.metrics=[]", "evaluation.samples=0",
                 'dataset.split={"type":"column","column":"%s"}' % tables.SPLIT, *wanted.settings])
    kinds = kinds_of(folder / "run", learned, names)
    holes, hidden = with_holes(truth, share, names, set(kinds), f"{name} {seed} scored")
    write(folder / "holes.csv", names, holes)
    scores = {"model": score(kinds, names, truth, hidden,
                             draws_of(by_model(wanted, folder), names, len(holes))),
              "frequencies": score(kinds, names, truth, hidden, by_frequency(names, learned, len(holes)))}
    fault = None
    try:
        scores["mice"] = score(kinds, names, truth, hidden,
                               draws_of(by_mice(folder, names, kinds, learned, holes), names, len(holes)))
    except RuntimeError as error:
        fault = str(error).strip().splitlines()[-1]
    record = json.loads((folder / "run/run.json").read_text())
    return {"table": name, "split": seed, "asked": tables.asked(wanted), "share": share, "holes": wanted.holes, "rows": len(holes),
            "commit": record.get("commit"), "processor": record.get("processor"), "mice_fault": fault, "scores": scores}


def run(wanted):
    wanted.out.mkdir(parents=True, exist_ok=True)
    file, failed = wanted.out / "filled.jsonl", 0
    filled = read_filled(wanted.out)
    tables.check_asked(filled, wanted, file)
    done = {(m["table"], m["split"], m["share"], m["holes"]) for m in filled}
    for name in tables.names_of(wanted):
        for seed in range(wanted.splits):
            for share in wanted.shares:
                if (name, seed, share, wanted.holes) in done:
                    continue
                try:
                    measured = measure(wanted, name, seed, share)
                except Exception as error:  # of one table; the others go on
                    failed += 1
                    print(f"{name} {seed} {share}: {error}", file=sys.stderr)
                    continue
                with open(file, "a") as out:
                    print(json.dumps(measured), file=out)
                print(f"{name} {seed} {share:g}: done", flush=True)
    sys.exit(failed > 0)


def read_filled(folder):
    file = folder / "filled.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def table_score(all_scores, weights=None):
    """Mean over columns of the weighted mean over cells; weights: of the rows of each split."""
    columns = {}
    for split, scores in enumerate(all_scores):
        for name, cells in scores.items():
            columns.setdefault(name, []).extend(
                (value, 1.0 if weights is None else weights[split][row]) for row, value in cells)
    means = [sum(v * w for v, w in cells) / sum(w for _, w in cells) for cells in columns.values()
             if sum(w for _, w in cells) > 0]
    return sum(means) / len(means)


def difference(of):
    """Mice less the model, and its 95 % interval by a bootstrap of the rows."""
    both = [[m["scores"][who] for m in of] for who in ("mice", "model")]
    draw, drawn = numpy.random.default_rng(0), []
    for _ in range(500):
        weights = [numpy.bincount(draw.integers(0, m["rows"], m["rows"]), minlength=m["rows"]) for m in of]
        drawn.append(table_score(both[0], weights) - table_score(both[1], weights))
    low, high = numpy.quantile(drawn, [0.025, 0.975])
    return f"{table_score(both[0]) - table_score(both[1]):+.4f} ({low:+.4f} to {high:+.4f})"


def show(wanted):
    lines = [["table", "hidden", "learned from", "splits", "frequencies", "mice", "model", "mice less model"]]
    measured = read_filled(wanted.out)
    for key in sorted({(m["table"], m["share"], m["holes"]) for m in measured}):
        of = [m for m in measured if (m["table"], m["share"], m["holes"]) == key]
        mean = lambda who: f"{table_score([m['scores'][who] for m in of]):.4f}"
        faults = [m["mice_fault"] for m in of if m["mice_fault"]]
        lines.append([key[0], f"{100 * key[1]:g} %", "rows with gaps" if key[2] else "whole rows", str(len(of)),
                      mean("frequencies"), faults[0][:60] if faults else mean("mice"), mean("model"),
                      "-" if faults else difference(of)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def main():
    parser, _, running = tables.verbs_of(__doc__, run, show, splits=3)
    running.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.3, 0.5], help="of known cells, hidden")
    running.add_argument("--holes", action="store_true", help="hide cells of the rows that are learned from as well")
    wanted = parser.parse_args()
    wanted.function(wanted)


if __name__ == "__main__":
    main()
