"""Generative models of discrete data that answer any marginal question.

    import marginalia
    run = marginalia.run("experiments/ising/smoke.json", out="runs/smoke", overrides={"training.steps": 200})
    run.log_marginals([[0, 1] + [None] * 14])        # log p of two variables, the others summed out
    run.sample(3, given=[1, 1] + [None] * 14).states

States are integer arrays [B, D] of levels 0, 1, ..., K_i - 1. What is unknown is None, NaN, pandas.NA or masked
(numpy.ma), never a number; `values=(-1, 1)` hands over the values that the levels stand for, as spins have them.
"""
from ._exact import Exact, exact
from ._process import Error, ImpossibleGiven, SpecError, doctor
from ._runs import Answer, Run, check, load, resume, run
from ._functions import log_density

__all__ = ["Answer", "Error", "Exact", "ImpossibleGiven", "Run", "SpecError", "check", "doctor", "exact",
           "load", "log_density", "resume", "run"]
