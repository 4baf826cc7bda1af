#!/usr/bin/env python3
"""Runs every code block of README.md and docs/guides, and compares what they show with what comes.

  guides.py --root SOURCE --build BUILD [--slow] [GUIDE...]

The program is installed from BUILD into a temporary folder, as first-run.md says, and is on the PATH. Each guide has a
folder of its own that begins with experiments/ and the plugin templates' place in the installed program; commands run
in order, with bash, and find what those before them left: files, the folder they are in, exported variables.
Comments in a guide say what a block is and when it is run (blocks.py), output is compared with stated tolerances
(compare.py), and what is not run is checked as far as the program can tell (statics.py): verbs, options, specs.

Without --slow, blocks marked slow are only checked. Every block that is not run is listed with its reason. Exit
status 1 where a block fails, 77 where nothing could be run.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import compare
from blocks import read_blocks
from statics import Statics

SECONDS = 900  # that a block may take


class Guide:
    """One guide being run."""

    def __init__(self, file, folder, statics, options):
        self.file, self.folder, self.statics, self.options = file, folder, statics, options
        self.faults, self.skipped, self.ran = [], [], 0
        self.printed = None  # by the last commands; None: they were not run
        folder.mkdir()
        shutil.copytree(options.root / "experiments", folder / "experiments")

    def run(self):
        for block in read_blocks(self.file.read_text()):
            reason = self.reason_to_skip(block)
            if block.kind == "output":
                self.compare(block, self.printed)
            elif reason:
                self.skip(block, reason)
            else:
                self.ran += 1
                getattr(self, f"do_{block.kind}")(block)
            if len(self.faults) > 0:
                return  # the blocks behind it stand on it

    def fault(self, block, what):
        self.faults.append(f"{self.file.name}:{block.line}: {what}")

    def reason_to_skip(self, block):
        if "skip" in block.says:
            return block.says["skip"]
        missing = [need for need in block.says.get("needs", "").split(",") if need and not self.options.has[need]]
        if missing:
            return f"needs {', '.join(missing)}"
        return "slow" if "slow" in block.says and not self.options.slow else None

    def skip(self, block, reason):
        unmade = bool(self.skipped)
        self.skipped.append(f"{self.file.name}:{block.line}: {reason}")
        self.printed = None
        if block.kind == "commands":
            for fault in self.statics.faults_of_commands(block.text, self.folder, unmade):
                self.fault(block, fault)

    def do_file(self, block):
        path = self.folder / self.working_folder() / block.says["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
        if path.suffix == ".json" and "slow" not in block.says:
            for fault in self.statics.faults_of_spec(path.name, [], path.parent):
                self.fault(block, fault)

    def do_json(self, block):
        for fault in self.statics.faults_of_json(block, self.folder):
            self.fault(block, fault)

    def do_console(self, block):
        """Commands behind "$ ", each with what it prints."""
        for part in ("\n" + block.text).split("\n$ ")[1:]:
            command, _, shown = part.partition("\n")
            self.execute(block, command)
            self.compare(block, self.printed, shown)

    def do_commands(self, block):
        if "instead" in block.says:
            for fault in self.statics.faults_of_commands(block.text, self.folder):
                self.fault(block, fault)
        text = block.says.get("instead", block.text)
        self.execute(block, re.sub(r"(marginalia run \S+)", rf"\1 {block.says.get('few', '')}", text))

    def working_folder(self):
        cwd = self.folder / ".cwd"
        return pathlib.Path(cwd.read_text().strip()) if cwd.exists() else self.folder

    def execute(self, block, text):
        cwd, env = self.folder / ".cwd", self.folder / ".env"
        script = (f"[ ! -f {env} ] || . {env}\nset -eo pipefail\ncd {self.working_folder()}\n{text}\n"
                  f"pwd > {cwd}\nexport -p > {env}\n")
        where = subprocess.STDOUT if "stderr" in block.says else subprocess.PIPE
        done = subprocess.run(["bash", "-c", script], cwd=self.folder, env=self.options.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=where, timeout=SECONDS)
        self.printed = done.stdout
        if done.returncode != int(block.says.get("exit", 0)):
            said = "\n".join((done.stdout + (done.stderr or "")).strip().split("\n")[-15:])
            self.fault(block, f"exit status {done.returncode} of\n{text}{said}")

    def compare(self, block, printed, shown=None):
        if printed is None:
            return self.skipped.append(f"{self.file.name}:{block.line}: output of what was not run")
        differs = compare.difference(block.text if shown is None else shown, printed,
                                     block.number("tolerance", compare.TOLERANCE),
                                     block.number("absolute", compare.ABSOLUTE), "tail" in block.says)
        if differs:
            self.fault(block, differs)


def environment_of(prefix, home):
    """That of a newcomer: the installed program on the PATH, an empty home."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith("MARGINALIA")}
    if os.environ.get("MARGINALIA_DATA"):
        keep["MARGINALIA_DATA"] = os.environ["MARGINALIA_DATA"]
    return keep | {"PATH": f"{prefix}/bin:/usr/bin:{os.environ['PATH']}", "HOME": str(home),
                   "PYTHONPATH": f"{prefix}/lib/python3/dist-packages"}


def what_there_is(environment):
    """Which of the things that blocks need are there."""
    doctor = subprocess.run(["marginalia", "doctor"], env=environment, text=True, capture_output=True).stdout
    torch = subprocess.run(["python3", "-c", "import torch"], env=environment, capture_output=True)
    module = subprocess.run(["python3", "-c", "import marginalia"], env=environment, capture_output=True)
    pandas = subprocess.run(["python3", "-c", "import pandas"], env=environment, capture_output=True)
    return {"data": "MARGINALIA_DATA" in environment, "pandas": pandas.returncode == 0, "torch": torch.returncode == 0,
            "python": module.returncode == 0,
            "rdkit": bool(re.search(r"^RDKit\s+\d", doctor, re.M))}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("guides", nargs="*", help="names, as README or energies; all where none is given")
    return parser.parse_args()


def chosen(options):
    files = [options.root / "README.md", *sorted((options.root / "docs/guides").glob("*.md"))]
    return [file for file in files if not options.guides or file.stem in options.guides]


def main():
    options = parse()
    with tempfile.TemporaryDirectory(prefix="marginalia-guides-") as scratch:
        scratch = pathlib.Path(scratch)
        prefix, home = scratch / "prefix", scratch / "home"
        home.mkdir()
        subprocess.run(["cmake", "--install", options.build, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
        options.environment = environment_of(prefix, home) | {"BUILD": str(options.build.resolve())}
        options.has = what_there_is(options.environment)
        statics = Statics(options.root, options.environment)
        ran = faults = 0
        for file in chosen(options):
            guide = Guide(file, scratch / file.stem, statics, options)
            guide.run()
            print(f"{file.name}: {guide.ran} blocks run", *(f"\n  not run: {line}" for line in guide.skipped),
                  *(f"\nFAILED {fault}" for fault in guide.faults), sep="", flush=True)
            ran, faults = ran + guide.ran, faults + len(guide.faults)
    return 1 if faults else 0 if ran else 77


if __name__ == "__main__":
    sys.exit(main())
