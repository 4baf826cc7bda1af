"""Generative models of discrete data that answer any marginal question.

    import marginalia
    run = marginalia.run("experiments/ising/smoke.json", out="runs/smoke", overrides={"training.steps": 200})
    run.marginals([[0, 1] + [None] * 14])        # log p of two variables, the others summed out
    run.sample(3, given=[1, 1] + [None] * 14).states

States are integer arrays [B, D] of levels 0, 1, ..., K_i - 1. What is unknown is None, NaN, pandas.NA or masked
(numpy.ma), never a number; `values=(-1, 1)` hands over the values that the levels stand for, as spins have them.
"""
from ._components import datasets, energies, families, metrics, networks
from ._datasets import Dataset
from ._exact import Exact, exact
from ._functions import Factors, Pairwise, energy, log_density
from ._observables import Mean, observables, thermodynamics
from ._process import Error, ImpossibleGiven, SpecError, doctor
from ._runs import Answer, Run, load
from ._samplers import Sampler, evaluate
from ._specs import check
from ._studies import Study, runs, study
from ._tables import Table
from ._training import Step, Training, resume, run, train

__all__ = ["Answer", "Dataset", "Error", "Exact", "Factors", "ImpossibleGiven", "Mean", "Pairwise", "Run", "Sampler",
           "SpecError", "Step", "Study", "Table", "Training", "check", "datasets", "doctor", "energies", "energy", "evaluate",
           "exact", "families", "load", "log_density", "metrics", "networks", "observables", "resume", "run", "runs", "study",
           "thermodynamics", "train"]
