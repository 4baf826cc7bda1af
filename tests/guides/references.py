#!/usr/bin/env python3
"""Compares what sources, specs and documents cite with docs/references.bib.

  references.py ROOT

Every arXiv number and DOI, and every "Name (year)" or "Name year", must have an entry; where a name and a number stand
together they must be of the same entry. Every entry must have author, title and year, a key of its own in the order
of the alphabet, and be cited. Exit status 1, with a line for each fault, otherwise.
"""
import collections
import pathlib
import re
import sys

FOLDERS = ("core", "plugins", "energies", "datasets", "docs", "experiments")
SUFFIXES = {".cpp", ".h", ".in", ".md", ".json"}
# What surnames that are spelt in ASCII leave out of TeX's accents.
ACCENT = re.compile(r"\{\\(.)\{?\\?(\w)\}?\}")

NAME = r"[A-Z][\w'-]+"
CITED = re.compile(rf"({NAME})(?: et al\.)?,? \(?((?:18|19|20)\d\d)(?=[),;])"
                   r"(?:\)?,? (arXiv:\d{4}\.\d{4,5}|doi:10\.\S+))?")
# Other words that a year may follow.
NO_NAMES = {"ICML"}


def read_entries(text):
    """-> {key: {field: value}}, in the order of the file, and the faults of the file itself."""
    entries, faults = {}, []
    for line in text.splitlines():
        if not line.startswith("@"):
            continue
        head = re.match(r"@(\w+)\{([\w-]+), (.*)\}$", line)
        if not head:
            faults.append(f"no entry: {line[:60]}")
            continue
        fields = dict(re.findall(r"(\w+)=\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}", head[3]))
        if head[2] in entries:
            faults.append(f"{head[2]} stands twice")
        missing = {"author", "title", "year"} - set(fields)
        if missing:
            faults.append(f"{head[2]} has no {', '.join(sorted(missing))}")
        entries[head[2]] = fields
    if list(entries) != sorted(entries):
        faults.append("the keys are not in the order of the alphabet")
    return entries, faults


def surnames(entry):
    """Of the authors, the last word of each in the spellings of ASCII, and the entry's shorthand."""
    names = {entry.get("shorthand", "")} - {""}
    for author in entry.get("author", "").split(" and "):
        last = author.split(",")[0].split(" ")[-1]
        names.add(ACCENT.sub(r"\2", last))
        names.add(ACCENT.sub(lambda m: m[2] + ("e" if m[1] == '"' else ""), last))
    return names


def joined(text):
    """The text with comments of several lines, and strings of several parts, in one line each."""
    text = re.sub(r'"\s*\n\s*"', "", text)
    return re.sub(r"\s*\n\s*(?:///?)?\s*", " ", text)


def texts(root):
    """Each file that may cite, and its text."""
    files = [root / "README.md"]
    for folder in FOLDERS:
        files += sorted((root / folder).rglob("*"))
    for file in files:
        if file.suffix in SUFFIXES and file.is_file() and root / "docs/results" not in file.parents:
            yield file.relative_to(root), joined(file.read_text(encoding="utf-8"))


def entry_of(number, entries):
    """The key of the entry with this arXiv number or DOI, or None."""
    kind, _, value = number.partition(":")
    for key, entry in entries.items():
        if kind == "arXiv" and entry.get("eprint") == value:
            return key
        doi = entry.get("doi", "")
        # A sentence goes on behind a DOI, which may itself hold any character.
        if kind == "doi" and doi and re.fullmatch(r"[.,;:)\"'|`]*", value.removeprefix(doi)):
            if value.startswith(doi):
                return key
    return None


def check(root):
    entries, faults = read_entries((root / "docs/references.bib").read_text(encoding="utf-8"))
    by_name = collections.defaultdict(set)
    for key, entry in entries.items():
        for name in surnames(entry):
            by_name[name, entry.get("year")].add(key)
    cited = set()
    for file, text in texts(root):
        for number in re.findall(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\S+", text):
            key = entry_of(number, entries)
            cited.add(key)
            if not key:
                faults.append(f"{file}: {number} has no entry")
        for name, year, number in CITED.findall(text):
            if name in NO_NAMES:
                continue
            keys = by_name[name, year]
            cited |= keys
            if not keys:
                faults.append(f"{file}: {name} ({year}) has no entry")
            elif number and entry_of(number, entries) not in keys | {None}:
                faults.append(f"{file}: {number} is not by {name} ({year})")
    faults += [f"{key} is cited nowhere" for key in entries if key not in cited]
    return entries, sorted(set(faults))


def main():
    entries, faults = check(pathlib.Path(sys.argv[1]))
    for fault in faults:
        print(f"references: {fault}", file=sys.stderr)
    print(f"{len(entries)} entries, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
