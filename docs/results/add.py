#!/usr/bin/python3
"""Puts numbers of a finished run into measurements.csv, and writes docs/results.md anew.

  add.py RUN --table TABLE --spec FILE (--column LABEL | --row LABEL) [--decimals N] [--name VALUE] [--again] PART=LABEL...

  add.py runs/smoke --table ising_4x4 --spec experiments/ising/smoke.json --column measured \\
      'kl_reverse/importance=reverse KL (random order)' 'log_z/learned - log_z/exact=log Z less exact'

RUN is a folder of `marginalia run` from a clean commit: commit, precision and processor are read from its run.json.
PART is METRIC/ESTIMATOR of evaluation.json, or a path further down (marginal_error/one_pass/by_size/10/rms), or
run/KEY of run.json (run/train_seconds), or one of these less another; a sign before it turns it. LABEL is that of the number's row where --column
is given, that of its column where --row is. An unverified number of the same cell is replaced, and a verified one with
--again. Numbers have two digits of their standard error, or four, unless --decimals says how many. In the command,
"=VALUE" is written "=NAME" where --name gives the value: NAME stands for the row's label. TABLE is one of results.template.md. The spec is named from the root of the tree.
"""

import argparse
import hashlib
import json
import math
import pathlib
import shlex
import sys

import write


class Refused(Exception):
    """A record that is no evidence, or numbers that it does not have."""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def spec_sum(spec):
    """As spec_hash of core/records/runs/run_directory.cpp: without the note, keys sorted, no blanks."""
    rest = {key: value for key, value in spec.items() if key != "note"}
    return sha256(json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


def check_unaltered(folder, record):
    if record.get("status") != "finished":
        raise Refused(f"{folder}: the run is not finished")
    if record.get("spec_sha256") != spec_sum(record["spec"]):
        raise Refused(f"{folder}: altered: the spec in run.json is not the one it was run from")
    if record.get("evaluation_sha256") != sha256((folder / "evaluation.json").read_bytes()):
        raise Refused(f"{folder}: altered: evaluation.json is not the one that was measured")


def clean_commit(folder, record, commits):
    """The commit that a record names, which must be clean and in the history."""
    commit = record.get("commit", "")
    if not commit:
        raise Refused(f"{folder}: run.json names no commit")
    if commit.endswith("-dirty"):
        raise Refused(f"{folder}: was made with uncommitted changes ({commit}); commit them, build and run again")
    if record.get("resumed_at", commit) != commit:
        raise Refused(f"{folder}: was begun at {commit} and resumed at {record['resumed_at'] or 'no commit'}; run it anew")
    commit = commit.rsplit("-g", 1)[-1]  # of "TAG-COUNT-gHASH"
    if not any(c.startswith(commit) for c in commits or []):
        raise Refused(f"{folder}: commit {commit} is not in the history of this repository")
    return commit


def read_record(folder, commits):
    """run.json and evaluation.json of a run that may be cited."""
    record = json.loads((folder / "run.json").read_text())
    check_unaltered(folder, record)
    commit = clean_commit(folder, record, commits)
    if not record.get("processor"):
        raise Refused(f"{folder}: run.json does not name the processor; run it again")
    return {**record, "commit": commit}, json.loads((folder / "evaluation.json").read_text())


def down(found, key):
    """The child of a key; of a list by size, the element of that size."""
    if isinstance(found, list):
        return next((x for x in found if str(x["size"]) == key), None)
    return found.get(key) if isinstance(found, dict) else None


def measured(path, record, evaluation):
    """Value, standard error or None, and unit of a path."""
    first, *rest = path.split("/")
    found, unit = (record, "") if first == "run" else (evaluation["metrics"].get(first), "")
    for key in rest:
        found = down(found, key)
        unit = found.get("unit", unit) if isinstance(found, dict) else unit
    if isinstance(found, dict):
        value, error = found.get("value"), found.get("stderr")
    else:
        value, error = found, None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Refused(f"{path}: the run has no such number")
    return value, error, "" if isinstance(value, int) else unit  # a count


def shown(value, error, decimals=None):
    """Value and standard error as they are written: two digits of the error; four of a value without one."""
    if isinstance(value, int):
        return str(value), ""
    if decimals is None and not error:
        return f"{value:.4g}", ""
    if decimals is None:
        decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{decimals}f}", f"{error:.{decimals}f}" if error else ""


def command_of(args, record):
    settings = [f"{key}=NAME" if args.name and value == args.name else f"{key}={value}"
                for key, _, value in (text.partition("=") for text in record["overrides"])]
    words = ["marginalia", "run", args.spec, *settings, "--threads", str(record["threads"])]
    return " ".join(shlex.quote(word) for word in words)


def value_of(part, record, evaluation):
    """Value, standard error or None, and unit of a part."""
    sign = -1 if part.startswith("-") else 1
    first, *rest = part.removeprefix("-").split(" - ")
    value, error, unit = measured(first, record, evaluation)
    for less in rest:
        value, error = value - measured(less, record, evaluation)[0], None
    return sign * value, error, unit


def row_of(part, label, args, record, evaluation):
    value, error, unit = value_of(part, record, evaluation)
    command = command_of(args, record)
    digest = write.digest(record["commit"], command)
    if not digest:
        raise Refused(f"{args.spec}: not in commit {record['commit']}")
    if json.loads(write.git("show", f"{record['commit']}:{args.spec}")).get("note") != record["spec"].get("note"):
        raise Refused(f"{args.run}: was not run from {args.spec}, whose note is another")
    row = dict.fromkeys(write.COLUMNS, "")
    value, error = shown(value, error, args.decimals)
    return {**row, "table": args.table, "row": args.row or label, "column": args.column or label, "claim": part,
            "command": command, "spec_sha256": digest, "commit": record["commit"], "processor": record["processor"],
            "precision": record["precision"]["training"]["used"], "value": value, "stderr": error, "unit": unit}


def insert(rows, row, again):
    """Puts a row in the place of those of its cell, or at the end of its table."""
    cell = [r for r in rows if write.key(r)[:3] == write.key(row)[:3] and not r["source"]]
    if any(write.verified(r) for r in cell) and not again:
        raise Refused(f"{', '.join(write.key(row)[:3])}: is verified already; --again replaces it")
    if cell:
        at = rows.index(cell[0])
        row = {**row, "claim": cell[0]["claim"], "target": cell[0]["target"], "unit": row["unit"] or cell[0]["unit"]}
    else:
        at = max((i + 1 for i, r in enumerate(rows) if r["table"] == row["table"]), default=len(rows))
    rows.insert(at, row)
    for old in cell:
        rows.remove(old)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--table", required=True)
    parser.add_argument("--spec", required=True)
    label = parser.add_mutually_exclusive_group(required=True)
    label.add_argument("--column", default="")
    label.add_argument("--row", default="")
    parser.add_argument("--decimals", type=int)
    parser.add_argument("--name", default="")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("parts", nargs="+", metavar="PART=LABEL")
    return parser.parse_args()


def main():
    args, rows = arguments(), write.read()
    template = write.TEMPLATE.read_text(encoding="utf-8")
    try:
        if args.table not in [place.group(1) for place in write.PLACE.finditer(template)]:
            raise Refused(f"{args.table}: results.template.md has no place for such a table")
        record, evaluation = read_record(args.run, write.history())
        for part, _, label in (text.partition("=") for text in args.parts):
            insert(rows, row_of(part, label, args, record, evaluation), args.again)
    except (Refused, OSError) as refused:
        print(f"add.py: {refused}", file=sys.stderr)
        return 1
    write.save(rows)
    write.PAGE.write_text(write.page(rows, template), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
