#!/usr/bin/python3
"""Tables of mixed columns against what users have: Chow-Liu, a Gaussian mixture, gradient boosting.

    /usr/bin/python3 tests/bench/tables.py run --tables FOLDER --out FOLDER [--splits 10] [--seconds 30] [--only adult,mpg]
    /usr/bin/python3 tests/bench/tables.py show --out FOLDER
    /usr/bin/python3 tests/bench/tables.py record --out FOLDER

Of each table and split `run` trains experiments/tables/any.json (FOLDER holds NAME.csv.gz as their sources publish
them), predicts the label column of the test rows, and fits scikit-learn's HistGradientBoostingClassifier to the same
columns and training rows, its rate, leaves and rounds chosen by the same validation rows. Where all other columns are
numbers and the label could be one, a second run takes it for one, beside a Gaussian mixture. A line of JSON each goes to
OUT/measured.jsonl; what stands there is not measured again. `show` prints a table: means over splits, and 95 % intervals
of paired differences (Student's t; of adult and others whose test rows overlap between splits they are narrower than the
truth, as all repeated splits are). `record` puts the means, with their standard errors over splits, into docs/results.

Needs python3-pandas and python3-sklearn.
"""
import argparse
import concurrent.futures
import csv
import gzip
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SPEC = ROOT / "experiments/tables/any.json"

# The label column, and where a file has no header its columns.
TABLES = {
    "abalone": ("sex", "sex,length,diameter,height,whole_weight,shucked_weight,viscera_weight,shell_weight,rings"),
    "adult": ("income", "age,workclass,fnlwgt,education,education_num,marital_status,occupation,relationship,race,sex,"
              "capital_gain,capital_loss,hours_per_week,native_country,income"),
    "auto_imports": ("symboling", "symboling,normalized_losses,make,fuel_type,aspiration,doors,body_style,drive_wheels,"
                     "engine_location,wheel_base,length,width,height,curb_weight,engine_type,cylinders,engine_size,"
                     "fuel_system,bore,stroke,compression_ratio,horsepower,peak_rpm,city_mpg,highway_mpg,price"),
    "breast-cancer": ("recurrence", "age,menopause,tumor_size,inv_nodes,node_caps,deg_malig,breast,breast_quad,irradiat,"
                      "recurrence"),
    "diamonds": ("cut", None),
    "german": ("class", "checking,months,history,purpose,amount,savings,employment,rate,personal,debtors,residence,"
               "property,age,plans,housing,credits,job,dependants,telephone,foreign,class"),
    "horse-colic": ("outcome", "surgery,age,hospital_number,rectal_temperature,pulse,respiratory_rate,"
                    "extremities_temperature,peripheral_pulse,mucous_membranes,capillary_refill,pain,peristalsis,"
                    "abdominal_distension,nasogastric_tube,nasogastric_reflux,nasogastric_ph,rectal_examination,abdomen,"
                    "packed_cell_volume,total_protein,abdominocentesis,abdominal_protein,outcome,surgical_lesion,"
                    "lesion_1,lesion_2,lesion_3,pathology_data"),
    "mpg": ("origin", None),
    "penguins": ("species", None),
    "titanic": ("survived", None),
    "winequality-red": ("quality", "fixed_acidity,volatile_acidity,citric_acid,residual_sugar,chlorides,"
                        "free_sulfur_dioxide,total_sulfur_dioxide,density,ph,sulphates,alcohol,quality"),
}
NUMBERS = {"winequality-red"}  # all columns are numbers where the label is taken for one
IGNORED = {"adult": ["fnlwgt"], "horse-colic": ["hospital_number"]}
FILES = {"adult": ["adult-train", "adult-test"]}
SPLIT = "_split"
GAPS = ("", "?", "NA", "N/A", "n/a", "nan", "NaN", "NAN", "null", "NULL", "None")  # as the dataset csv has them


def read_table(folder, name):
    """-> names of the columns, rows of fields without quotes and outer blanks."""
    names = TABLES[name][1]
    rows = []
    for part in FILES.get(name, [name]):
        with gzip.open(folder / f"{part}.csv.gz", "rt") as lines:
            for fields in csv.reader(lines, skipinitialspace=True):
                if fields:
                    rows.append([field.strip().strip("'").rstrip("." if name == "adult" else "") for field in fields])
    return (names.split(","), rows) if names else (rows[0], rows[1:])


def write_split(folder, name, seed, file):
    """The table with a column that says train, valid or test: 80, 10 and 10 % of the rows."""
    names, rows = read_table(folder, name)
    order = list(range(len(rows)))
    random.Random(f"{name} {seed}").shuffle(order)
    tenth = round(len(rows) / 10)
    part = dict.fromkeys(order[:tenth], "test") | dict.fromkeys(order[tenth:2 * tenth], "valid")
    with open(file, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(names + [SPLIT])
        writer.writerows(row + [part.get(n, "train")] for n, row in enumerate(rows))


def call(command):
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def train(wanted, name, file, out, categories):
    call([wanted.program, "run", SPEC, "--threads", 1, "--out", out, "--force",
          f"training.budget.seconds={wanted.seconds}", f"dataset.file={file}",
          f"dataset.ignored={json.dumps(IGNORED.get(name, []) + [SPLIT])}", f"dataset.categories={json.dumps(categories)}",
          'dataset.split={"type":"column","column":"%s"}' % SPLIT, *wanted.settings])
    return json.loads((out / "evaluation.json").read_text())["metrics"]


def log_loss(truth, probabilities):
    return [-math.log(max(p.get(t, 0), 1e-12)) for t, p in zip(truth, probabilities)]


def model_losses(wanted, name, file, run):
    """-log p(label | the rest) of each test row whose label is known."""
    label, predicted = TABLES[name][0], run / "predicted.csv"
    call([wanted.program, "table", "predict", run, file, "--target", label, "--out", predicted])
    with open(predicted, newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row[SPLIT] == "test" and row[label] not in GAPS]
    of = lambda row: {key[3:-1]: float(p) for key, p in row.items() if key.startswith("_p(")}
    return log_loss([row[label] for row in rows], [of(row) for row in rows])


def boosting_losses(name, file, run):
    """The same of gradient boosting on the columns that the run took for variables."""
    import numpy
    import pandas
    from sklearn.ensemble import HistGradientBoostingClassifier
    label = TABLES[name][0]
    columns = json.loads((run / "dataset.json").read_text())["schema"]["columns"]
    columns = [c for c in columns if c["kind"] not in ("ignored", "weight") and c["name"] != label]
    table = pandas.read_csv(file, dtype=str, keep_default_na=False)
    gaps = table.isin(GAPS)
    known = table[~gaps[label]]
    parts = {part: known[SPLIT] == part for part in ("train", "valid", "test")}

    def values(column):
        of = known[column["name"]].where(~gaps[column["name"]])
        if column["kind"] in ("number", "integer"):
            return pandas.to_numeric(of)
        return of.astype("category").cat.codes.replace(-1, numpy.nan)

    x = pandas.DataFrame({c["name"]: values(c) for c in columns}).to_numpy(float)
    is_category = [c["kind"] in ("category", "boolean") for c in columns]
    y = known[label].to_numpy()
    truth = {part: y[rows.to_numpy()] for part, rows in parts.items()}

    def losses(model, part, probabilities):
        places = {c: k for k, c in enumerate(model.classes_)}
        return [-math.log(max(p[places[t]], 1e-12)) if t in places else -math.log(1e-12)
                for t, p in zip(truth[part], probabilities)]

    best = None
    for rate in (0.1, 0.03):
        for leaves in (31, 6):
            model = HistGradientBoostingClassifier(learning_rate=rate, max_leaf_nodes=leaves, max_iter=300,
                                                   early_stopping=False, categorical_features=is_category,
                                                   random_state=0)
            model.fit(x[parts["train"].to_numpy()], truth["train"])
            for rounds, p in enumerate(model.staged_predict_proba(x[parts["valid"].to_numpy()]), 1):
                loss = numpy.mean(losses(model, "valid", p))
                if best is None or loss < best[0]:
                    best = loss, model, rounds
    _, model, rounds = best
    for n, p in enumerate(model.staged_predict_proba(x[parts["test"].to_numpy()]), 1):
        if n == rounds:
            return losses(model, "test", p)


def measure(wanted, name, seed):
    out = wanted.out / f"{name}-{seed}"
    out.mkdir(parents=True, exist_ok=True)
    file = out / "table.csv"
    write_split(wanted.tables, name, seed, file)
    began = time.monotonic()
    metrics = train(wanted, name, file, out / "run", [TABLES[name][0]])
    seconds = time.monotonic() - began
    gain = {key: of["gain"] for key, of in metrics["baselines"].items()}
    if name in NUMBERS:
        of_numbers = train(wanted, name, file, out / "numbers", [])["baselines"]
        gain["gaussian_mixture"] = of_numbers["gaussian_mixture"]["gain"]
    model, boosting = model_losses(wanted, name, file, out / "run"), boosting_losses(name, file, out / "run")
    if len(model) != len(boosting):
        raise RuntimeError(f"{name}: {len(model)} rows predicted, {len(boosting)} by boosting")
    mean = lambda all: sum(all) / len(all)
    record = json.loads((out / "run/run.json").read_text())
    return {"table": name, "split": seed, "asked": asked(wanted), "commit": record.get("commit"), "processor": record.get("processor"),
            "seconds": seconds, "nll": metrics["nll"]["one_pass"]["value"],
            "gain": gain,
            "label_loss": mean(model), "boosting_loss": mean(boosting), "labels": len(model)}


def asked(wanted):
    """What measurements of one folder must have in common."""
    return {"seconds": wanted.seconds, "settings": wanted.settings}


def check_asked(measured, wanted, file):
    others = [m["asked"] for m in measured if m["asked"] != asked(wanted)]
    if others:
        sys.exit(f"{file}: was measured with {others[0]}, not {asked(wanted)}; give another --out")


def names_of(wanted):
    names = wanted.only.split(",") if wanted.only else list(TABLES)
    for unknown in set(names) - set(TABLES):
        sys.exit(f"there is no table {unknown}; there is: {', '.join(TABLES)}")
    return names


def run(wanted):
    os.environ["OMP_NUM_THREADS"] = "1"
    wanted.out.mkdir(parents=True, exist_ok=True)
    done_file = wanted.out / "measured.jsonl"
    measured = read_measured(wanted.out)
    check_asked(measured, wanted, done_file)
    done = {(m["table"], m["split"]) for m in measured}
    todo = [(name, seed) for seed in range(wanted.splits) for name in names_of(wanted) if (name, seed) not in done]
    failed = 0
    with concurrent.futures.ProcessPoolExecutor(wanted.jobs) as pool, open(done_file, "a") as out:
        waiting = {pool.submit(measure, wanted, *one): one for one in todo}
        for future in concurrent.futures.as_completed(waiting):
            try:
                measured = future.result()
            except Exception as error:
                failed += 1
                print(f"{waiting[future]}: {error}", file=sys.stderr)
                continue
            print(json.dumps(measured), file=out, flush=True)
            print(f"{measured['table']} {measured['split']}: {measured['seconds']:.0f} s", flush=True)
    sys.exit(failed > 0)


def read_measured(folder):
    file = folder / "measured.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


# 97.5 % of Student's t for 1 to 30 degrees of freedom (tables of the distribution).
T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
     2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042]


def standard_error(values):
    """Of a mean over splits; None of one."""
    n, mean = len(values), sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n) if n > 1 else None


def interval(values):
    """"1.234 +- 0.056" of a mean over splits, half its 95 % interval."""
    n, mean = len(values), sum(values) / len(values)
    if n < 2:
        return f"{mean:.3f}"
    return f"{mean:.3f} +- {T[min(n - 2, len(T) - 1)] * standard_error(values):.3f}"


def show(wanted):
    heads = ["table", "splits", "nll", "gain on Chow-Liu", "on Gaussian mixture", "label loss", "boosting", "less boosting, %"]
    lines = [heads]
    measured = read_measured(wanted.out)
    for name in TABLES:
        of = [m for m in measured if m["table"] == name]
        if not of:
            continue
        mixture = [m["gain"]["gaussian_mixture"] for m in of if "gaussian_mixture" in m["gain"]]
        lines.append([name, str(len(of)), f"{sum(m['nll'] for m in of) / len(of):.3f}",
                      interval([m["gain"]["chow_liu"] for m in of]), interval(mixture) if mixture else "-",
                      f"{sum(m['label_loss'] for m in of) / len(of):.4f}",
                      f"{sum(m['boosting_loss'] for m in of) / len(of):.4f}",
                      interval([100 * (m["label_loss"] / m["boosting_loss"] - 1) for m in of])])
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def record(wanted):
    sys.path.insert(0, str(ROOT / "docs/results"))
    import add  # noqa: E402
    import write  # noqa: E402
    measured, rows = read_measured(wanted.out), write.read()
    commits = {m["commit"] for m in measured}
    if len(commits) != 1 or "-dirty" in "".join(commits):
        sys.exit(f"{wanted.out}: must be of one clean commit, not {', '.join(sorted(commits)) or 'none'}")
    commit, = commits
    for name in dict.fromkeys(m["table"] for m in measured):
        of = [m for m in measured if m["table"] == name]
        run = json.loads((wanted.out / f"{name}-{of[0]['split']}/run/run.json").read_text())
        command = (f"tests/bench/tables.py run --tables DIR --out DIR --splits {len(of)} "
                   f"--seconds {of[0]['asked']['seconds']:g}  # experiments/tables/any.json")
        columns = {"splits": [len(of)], "log p of a row, nats": [-m["nll"] for m in of],
                   "above Chow-Liu": [m["gain"]["chow_liu"] for m in of],
                   "above a Gaussian mixture": [m["gain"]["gaussian_mixture"] for m in of if "gaussian_mixture" in m["gain"]],
                   "log-loss of the label": [m["label_loss"] for m in of], "of boosting": [m["boosting_loss"] for m in of],
                   "above boosting, %": [100 * (m["label_loss"] / m["boosting_loss"] - 1) for m in of]}
        for column, values in columns.items():
            if not values:
                continue
            mean, error = sum(values) / len(values), standard_error(values)
            value, error = add.shown(values[0] if column == "splits" else mean, error)
            add.insert(rows, dict.fromkeys(write.COLUMNS, "") | {
                "table": "any_table", "row": name, "column": column, "claim": column, "command": command,
                "spec_sha256": write.digest(commit, command), "commit": commit, "processor": of[0]["processor"],
                "precision": run["precision"]["training"]["used"], "value": value, "stderr": error}, again=True)
    write.save(rows)
    write.PAGE.write_text(write.page(rows, write.TEMPLATE.read_text(encoding="utf-8")), encoding="utf-8")


def verbs_of(doc, run, show, splits):
    """-> a parser of `run` and `show`, its verbs, and the parser of `run`, for more options."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    running, showing = verbs.add_parser("run"), verbs.add_parser("show")
    for verb, function in ((running, run), (showing, show)):
        verb.set_defaults(function=function)
        verb.add_argument("--out", type=lambda path: pathlib.Path(path).resolve(), required=True)
    running.add_argument("--tables", type=pathlib.Path, required=True)
    running.add_argument("--program", type=pathlib.Path, default=ROOT / "build/release/bin/marginalia")
    running.add_argument("--splits", type=int, default=splits)
    running.add_argument("--seconds", type=float, default=30, help="of training, a run")
    running.add_argument("--only", help="tables, between commas")
    running.add_argument("--settings", nargs="*", default=[], help="KEY=VALUE of the spec")
    return parser, verbs, running


def main():
    parser, verbs, running = verbs_of(__doc__, run, show, splits=10)
    recording = verbs.add_parser("record")
    recording.set_defaults(function=record)
    recording.add_argument("--out", type=lambda path: pathlib.Path(path).resolve(), required=True)
    running.add_argument("--jobs", type=int, default=2, help="runs at a time, of one thread")
    wanted = parser.parse_args()
    wanted.function(wanted)


if __name__ == "__main__":
    main()
