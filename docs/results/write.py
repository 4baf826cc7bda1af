#!/usr/bin/python3
"""Writes docs/results.md from measurements.csv and results.template.md, which stand beside this file.

  write.py           writes docs/results.md
  write.py --check   names every fault of the table, and whether docs/results.md is what would be
                     written; exit status 1 where there is one

measurements.csv has one number a row, in the order in which they are shown:

  table        the table of the template that shows it
  row, column  the labels of its cell; numbers of one cell stand side by side
  claim        what the number is
  command      what was run; NAME stands for the row's label
  spec_sha256  SHA-256 of the spec of the command at the commit; empty where there is no spec
  commit       the commit that was built, with nothing changed; empty where that is not known
  recorded     what is known of the commit where it is not clean
  processor    what of the processor bears on the numbers
  precision    of products in training
  value        as it is shown; empty where a word stands in the place of a number
  stderr       standard error of the value
  unit         of the value
  text         what is shown, {} being the number; empty for the number alone
  target       what was to be reached
  source       who published the number; empty where it was measured here

A number without a commit and a source is unverified. In the template, a block

  {table NAME | LABEL OF THE FIRST COLUMN
  caption}

is where a table stands.
"""

import csv
import functools
import hashlib
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TABLE, TEMPLATE, PAGE = HERE / "measurements.csv", HERE / "results.template.md", HERE.parent / "results.md"
COLUMNS = ("table row column claim command spec_sha256 commit recorded processor precision value stderr unit text"
           " target source").split()
PLACE = re.compile(r"\{table (\w+) \| ([^\n}]*)\n?(.*?)\}", re.S)


def read(path=TABLE):
    """The rows of a table, each a dict; ValueError where its columns are not those above."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        found = rows.fieldnames or []
        unknown = [c for c in found if c not in COLUMNS] + [c for c in COLUMNS if c not in found]
        if unknown:
            raise ValueError(f"{path.name}: unknown or missing columns: {', '.join(unknown)}")
        rows = list(rows)
    for line, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise ValueError(f"{path.name}: row {line} has not {len(COLUMNS)} fields")
    return rows


def save(rows, path=TABLE):
    with open(path, "w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        out.writeheader()
        out.writerows(rows)


def key(row):
    return tuple(row[c] for c in ("table", "row", "column", "claim"))


# What is wrong with a table


@functools.cache
def git(*words):
    """What git prints, or None where it fails."""
    done = subprocess.run(["git", "-C", HERE, *words], capture_output=True)
    return done.stdout if done.returncode == 0 else None


def history():
    """The commits that lead here, in full; None where there is no history, or only its end."""
    if git("rev-parse", "--is-shallow-repository", "--show-prefix") != b"false\ndocs/results/\n":
        return None  # or the history of another repository, that these files lie in
    commits = git("rev-list", "HEAD")
    return commits.decode().split() if commits is not None else None


def spec_of(command):
    """The spec of a command, from the root of the tree; "" where it has none."""
    found = re.search(r"\bexperiments/\S+\.json\b", command)
    return found.group() if found else ""


def digest(commit, command):
    """SHA-256 of the spec of a command as it was at a commit; "" where there is none."""
    spec = spec_of(command)
    content = git("show", f"{commit}:{spec}") if spec and "NAME" not in spec else None
    return hashlib.sha256(content).hexdigest() if content is not None else ""


def is_number(text):
    try:
        float(text)
        return True
    except ValueError:
        return False


def faults_of_row(row, commits):
    commit = row["commit"]
    if commit.endswith("-dirty"):
        yield f"commit {commit} is not clean: such a number is unverified, and has no commit"
    elif commit and not re.fullmatch("[0-9a-f]{7,40}", commit):
        yield f'"{commit}" is no commit'
    elif commit and commits is not None:
        if not any(c.startswith(commit) for c in commits):
            yield f"commit {commit} is not in the history"
        elif row["spec_sha256"] != digest(commit, row["command"]):
            yield f"spec_sha256 is not that of {spec_of(row['command']) or 'no spec'} at {commit}"
    if commit and not row["command"]:
        yield "a commit, and no command"
    if commit and row["recorded"]:
        yield "a clean commit, and words on one that is not"
    if row["value"] and not (is_number(row["value"]) and row["text"].count("{}") == (row["text"] != "")):
        yield f'"{row["value"]}" is not a number, or its text has not one {{}}'
    if not row["value"] and (not row["text"] or "{}" in row["text"]):
        yield "neither a value nor words"
    if row["stderr"] and not is_number(row["stderr"]):
        yield f'"{row["stderr"]}" is no standard error'


def faults(rows, template, commits):
    """Every fault of a table, in words."""
    found, seen = [], set()
    for line, row in enumerate(rows, 2):
        where = f"row {line} ({', '.join(key(row))})"
        found += [f"{where}: {fault}" for fault in faults_of_row(row, commits)]
        if key(row) in seen:
            found.append(f"{where}: stands there already")
        seen.add(key(row))
    places = [place.group(1) for place in PLACE.finditer(template)]
    found += [f"table {name} stands twice in the template" for name in sorted({n for n in places if places.count(n) > 1})]
    found += [f"table {name} has no place, or no rows" for name in sorted({r["table"] for r in rows} ^ set(places))]
    return found


# The page


def verified(row):
    return bool(row["commit"])


def number(row):
    text = row["value"] + (f" +- {row['stderr']}" if row["stderr"] else "")
    return row["text"].replace("{}", text) if row["text"] else text


def distinct(values):
    return [value for value in dict.fromkeys(values) if value]


def made_by(row):
    """How a row was measured, in words."""
    commit = row["commit"] or row["recorded"] or "commit not recorded"
    conditions = ", ".join(distinct([row["processor"], row["precision"]]))
    return f"{commit} ({conditions})" if conditions else commit


def extents(groups):
    """Which cells each group of rows is: columns that it has alone, then rows of the others, then single cells."""
    left = [dict(row, group=i) for i, group in enumerate(groups) for row in group]
    parts = [[] for _ in groups]
    for by in ("column", "row"):
        for label in distinct(row[by] for row in left):
            owners = {row["group"] for row in left if row[by] == label}
            if len(owners) == 1:
                parts[owners.pop()].append(label)
                left = [row for row in left if row[by] != label]
    for row in left:
        parts[row["group"]].append(f"{row['row']}: {row['column']}")
    return ["; ".join(distinct(part)) for part in parts]


def provenance(rows):
    """How the numbers of a table were measured, and where in several ways, which is whose."""
    groups = {}
    for row in rows:
        groups.setdefault(made_by(row), []).append(row)
    if not verified(rows[0]):
        return f"Recorded: {'; '.join(groups)}."
    if len(groups) == 1:
        return f"Measured at {next(iter(groups))}."
    lines = [f"- {how}: {cells}" for how, cells in zip(groups, extents(groups.values()))]
    return "\n".join(["Measured at", "", *lines])


def grid(head, rows, shown):
    """The rows in `shown`, among all of a table, as a Markdown table; what was published beside them."""
    labels = distinct(r["row"] for r in shown)
    cells = {}
    for row in shown + [r for r in rows if r["source"] and r["row"] in labels]:
        cells.setdefault((row["row"], row["column"]), []).append(row)
    columns = [c for c in distinct(r["column"] for r in rows) if any((l, c) in cells for l in labels)]
    targets = {l: ", ".join(distinct(r["target"] for r in shown if r["row"] == l)) for l in labels}
    with_target = any(targets.values())
    lines = [[head, *["target"] * with_target, *columns]]
    lines.append(["---"] * len(lines[0]))
    for l in labels:
        texts = [" ".join(number(r) for r in cells.get((l, c), [])) for c in columns]
        lines.append([l, *[targets[l]] * with_target, *texts])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def table(place, rows, want, commands):
    """A table's verified numbers, or the others: caption, commands that were not shown yet, numbers, commits."""
    name, head, caption = place.groups()
    rows = [r for r in rows if r["table"] == name]
    shown = [r for r in rows if not r["source"] and verified(r) == want]
    if not shown:
        return ""
    new = [c for c in distinct(r["command"] for r in shown) if c not in commands]
    commands += new
    published = distinct(r["source"] for r in rows if r["row"] in {s["row"] for s in shown})
    parts = [caption.strip(), "\n".join("    " + c for c in new), grid(head.strip(), rows, shown), provenance(shown)]
    parts += [f"Published: {'; '.join(published)}."] if published else []
    return "\n\n".join(part for part in parts if part)


def section(text, rows, want):
    """A section with its verified tables, or with the others."""
    commands = []
    text = PLACE.sub(lambda place: table(place, rows, want, commands), text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def unverified(text, rows):
    """What a section has that is not verified; its prose as well where nothing else stands in it."""
    places = list(PLACE.finditer(text))
    of = [r for r in rows if r["table"] in {place.group(1) for place in places} and not r["source"]]
    if all(verified(r) for r in of):
        return ""
    if any(verified(r) for r in of):
        text = text.split("\n", 1)[0] + "\n\n" + "\n\n".join(place.group() for place in places)
    return re.sub("^##", "###", section(text, rows, False), flags=re.M)


def page(rows, template):
    """docs/results.md."""
    intro, *sections = re.split(r"^(?=## )", template, flags=re.M)
    last = sections.pop() if sections else ""
    kept = []
    for text in sections:
        names = {place.group(1) for place in PLACE.finditer(text)}
        if not names or any(verified(r) for r in rows if r["table"] in names):
            kept.append(section(text, rows, True))
    rest = [unverified(text, rows) for text in sections]
    return "\n".join([intro.strip() + "\n", *kept, last.strip() + "\n", *[text for text in rest if text]])


def main():
    rows, template = read(), TEMPLATE.read_text(encoding="utf-8")
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page(rows, template), encoding="utf-8")
        return 0
    commits = history()
    if commits is None:
        print("commits are not looked for: no history here, or only its end")
    found = faults(rows, template, commits)
    if PAGE.read_text(encoding="utf-8") != page(rows, template):
        found.append("docs/results.md is not what docs/results/write.py writes")
    print("\n".join(found) or f"{len(rows)} numbers, {sum(map(verified, rows))} verified")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
