#!/usr/bin/env python3
"""What uniform SELFIES states say of the four lipophilicity targets: the figures to measure against.

    MARGINALIA_DATA=DIR python3 experiments/molecules/uniform.py build/release/bin/marginalia

For each target logP and temperature: KL less log Z of the uniform model; -log Z, the least that any
model can reach, by importance sampling, and the effective number of states behind it; mean and
spread of logP under the target.
"""
import math
import os
import pathlib
import random
import subprocess
import sys

LENGTH, STATES = 55, 60000
TARGETS = [(4, 1), (-4, 1), (4, 0.1), (-4, 0.1)]


def log_p(program, states):
    smiles = subprocess.run([program, "molecules", "decode"], input="\n".join(states) + "\n",
                            text=True, check=True, stdout=subprocess.PIPE).stdout
    lines = subprocess.run([program, "molecules", "properties"], input=smiles,
                           text=True, check=True, stdout=subprocess.PIPE).stdout.splitlines()
    return [float(line.split("\t")[0]) for line in lines if not line.startswith("!")]


def main(program):
    folder = pathlib.Path(os.environ["MARGINALIA_DATA"]) / "selfies"
    table = (folder / "alphabet_moses_test_and_test_scaffolds.tsv").read_text().splitlines()
    tokens = [line.split("\t")[0] for line in table[1:]] + [""]  # "" is [nop]
    draw = random.Random(1)
    states = ["".join(draw.choices(tokens, k=LENGTH)) for _ in range(STATES)]
    values = log_p(program, states)
    log_states = LENGTH * math.log(len(tokens))
    print("| logP | tau | uniform | -log Z | effective states | logP under the target |\n"
          "|---|---|---|---|---|---|")
    for target, tau in TARGETS:
        log_f = [-(g - target) ** 2 / tau for g in values]
        top = max(log_f)
        weight = [math.exp(value - top) for value in log_f]
        total = sum(weight)
        mean = sum(w * g for w, g in zip(weight, values)) / total
        spread = math.sqrt(sum(w * (g - mean) ** 2 for w, g in zip(weight, values)) / total)
        least = -(log_states + top + math.log(total / len(values)))
        print(f"| {target} | {tau} | {-log_states - sum(log_f) / len(values):.2f} | {least:.2f} | "
              f"{total ** 2 / sum(w * w for w in weight):.0f} | {mean:.2f} +- {spread:.2f} |")


if __name__ == "__main__":
    main(sys.argv[1])
