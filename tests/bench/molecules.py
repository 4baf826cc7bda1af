#!/usr/bin/python3
"""Molecules per second: logP, QED and SA score of molecule_property against RDKit from Python.

Both get the same distinct SMILES, here 4000 of ZINC250k, and do all from the text on:

    MARGINALIA_DATA=DIR /usr/bin/python3 tests/bench/molecules.py

Python's side is RDKit's functions (Crippen.MolLogP, QED.qed, Contrib's sascorer) in a pool of 1 and
of 2 processes that persists, warm before it is timed; ours is the energy on 1 and 2 threads, in the
tests' program (build/release/tests/marginalia_tests, case "molecules per second"). What duplicates
gain, computed once a batch, is told apart: rows per second where each molecule stands eight times,
over those of distinct ones. Several rounds
in turn, so that what else the machine does meets both alike; a figure is the best of its rounds.
Needs Debian's python3-rdkit and rdkit-data. Exit code 1 when a ratio on 2 is below --at-least
(logP, QED, SA).
"""
import argparse
import gzip
import json
import multiprocessing
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from rdkit import Chem, RDConfig, RDLogger
from rdkit.Chem import QED, Crippen

sys.path.append(os.path.join(RDConfig.RDContribDir, "SA_Score"))
import sascorer  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CASE = "molecule_property's molecules per second"
SUM_TOLERANCE = 1e-6
COPIES = 8


def logp(smiles):
    return Crippen.MolLogP(Chem.MolFromSmiles(smiles))


def qed(smiles):
    return QED.qed(Chem.MolFromSmiles(smiles))


def sa(smiles):
    return sascorer.calculateScore(Chem.MolFromSmiles(smiles))


PROPERTIES = {"logp": logp, "qed": qed, "sa": sa}


def python_rates(pools, molecules):
    """-> {(property, processes): (molecules per second, sum)}"""
    rates = {}
    for name, function in PROPERTIES.items():
        for processes, pool in pools.items():
            start = time.monotonic()
            values = pool.map(function, molecules)
            rates[name, processes] = len(molecules) / (time.monotonic() - start), sum(values)
    return rates


def our_rates(program, file):
    out = subprocess.run([program, "--no-skip", f"--test-case={CASE}"], text=True, check=True,
                         stdout=subprocess.PIPE, env={**os.environ, "MARGINALIA_BENCH_SMILES": file})
    lines = [json.loads(line) for line in out.stdout.splitlines() if line.startswith("{")]
    return {(line["property"], line["threads"], line["copies"]):
            (line["molecules_per_second"], line["sum"]) for line in lines}


def best_of(rounds):
    return {key: max(rates[key] for rates in rounds) for key in rounds[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=ROOT / "build/release/tests/marginalia_tests")
    parser.add_argument("--molecules", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-least", type=float, nargs=3, default=[1.8, 1.7, 3.5])
    wanted = parser.parse_args()

    data = pathlib.Path(os.environ["MARGINALIA_DATA"])
    with gzip.open(data / "zinc250k/zinc250k.smi.gz", "rt") as lines:
        molecules = list(dict.fromkeys(lines.read().split()))
    molecules = random.Random(0).sample(molecules, wanted.molecules)
    RDLogger.DisableLog("rdApp.*")

    pools = {processes: multiprocessing.Pool(processes) for processes in (1, 2)}
    python_rates(pools, molecules[:200])
    ours, theirs = [], []
    with tempfile.NamedTemporaryFile("w", suffix=".smi") as file:
        file.write("\n".join(molecules) + "\n")
        file.flush()
        for _ in range(wanted.rounds):
            theirs.append(python_rates(pools, molecules))
            ours.append(our_rates(wanted.program, file.name))
    for pool in pools.values():
        pool.terminate()

    ours, theirs = best_of(ours), best_of(theirs)
    print("| property | Python, 1 process | ours, 1 thread | ratio | Python, 2 | ours, 2 | ratio | "
          "asked |\n|---|---|---|---|---|---|---|---|")
    slow = False
    for (name, asked) in zip(PROPERTIES, wanted.at_least):
        cells = [name]
        for count in (1, 2):
            (python, python_sum), (rate, our_sum) = theirs[name, count], ours[name, count, 1]
            if abs(our_sum - python_sum) > SUM_TOLERANCE * abs(python_sum):
                sys.exit(f"{name}: the figures differ: sum {our_sum}, Python's {python_sum}")
            cells += [f"{python:.0f}", f"{rate:.0f}", f"{rate / python:.2f}"]
        slow |= rate / python < asked
        print("| " + " | ".join(cells + [str(asked)]) + " |")
    for name in PROPERTIES:
        gain = ours[name, 1, COPIES][0] / ours[name, 1, 1][0]
        print(f"{name}, each molecule {COPIES} times in a batch: {gain:.2f} times as many rows")
    sys.exit(slow)


if __name__ == "__main__":
    main()
