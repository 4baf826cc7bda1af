"""Models that were trained elsewhere, judged by the measures of the house."""
import itertools
import json
import os
import pathlib

import numpy

from . import _sources
from ._functions import _Component
from ._states import from_levels, numbers
from ._training import run

_count = itertools.count(1)
DENSITY_METRICS = ("log_z", "kl_reverse", "kl_forward", "ess", "single_marginals", "observables")
DATA_METRICS = ("nll", "single_marginals", "copies")


class Sampler(_Component):
    """A model of Python, for `evaluate`, or as {"type": "python"} of a spec's family.

    sample(n, seed): states [n, D]; log_prob(x): log p of full states, [B]; conditionals(x): log p(x_i = k | x_S) of states
    in which -1 is unknown, [B, D, K]. Each may be left out: what a model cannot say is told, not made up. values: what the
    levels stand for in what is handed over and comes back, but for conditionals, which see levels.
    """
    kind = "family"

    def __init__(self, sample=None, log_prob=None, conditionals=None, values=None, name=None):
        if sample is None and log_prob is None and conditionals is None:
            raise TypeError("give sample, log_prob or conditionals: at least one")
        self._values = values
        self.sample = sample and (lambda n, seed: self._levels(sample(n, seed)))
        self.log_prob = log_prob and (lambda x: numbers(log_prob(from_levels(x, values))))
        self.conditionals = conditionals and (lambda x: numbers(conditionals(x)))
        self.name = name or f"Sampler-{next(_count)}"
        self.family = _sources.define("family", self.name, self)

    @property
    def component(self):
        return self

    def _levels(self, states):
        states = numbers(states)
        if self._values is None:
            if states.dtype.kind == "f" and (states != numpy.floor(states)).any():
                raise ValueError(f"sample returned {states[states != numpy.floor(states)][0]}, which is no level")
            return states
        levels = numpy.full(states.shape, -1, numpy.int64)
        for k, value in enumerate(self._values):
            levels[states == value] = k
        return levels


def evaluate(target, sample=None, log_prob=None, conditionals=None, values=None, metrics=None, rows=1000, seed=None, out=None,
             name=None):
    """Judges a model that was trained elsewhere by the measures of the house. -> a run, as any other.

    target: an energy (a component of a spec, or one of Python), a dataset of Python, or a spec, a file or a dict, with either; sample, log_prob,
    conditionals, values: as of Sampler. metrics: those that fit what is given, by default; what a model lacks stands in
    `run.evaluation` with the reason.
    """
    sampler = Sampler(sample, log_prob, conditionals, values, name)
    spec = _target(target)
    if seed is not None:
        spec["seed"] = seed
    if metrics is None:
        metrics = DENSITY_METRICS if "energy" in spec else DATA_METRICS
    return run({"seed": 0, **spec, "family": sampler, "training": {"steps": 0},
                "evaluation": {"metrics": list(metrics), "rows": rows, "samples": 16 if sample or conditionals else 0}}, out=out)


def _target(target):
    if isinstance(target, (str, os.PathLike)):
        target = json.loads(pathlib.Path(target).read_text(encoding="utf-8"))
    if isinstance(target, dict) and "type" not in target:
        return {key: target[key] for key in ("energy", "dataset", "seed") if key in target}
    kind = "dataset" if isinstance(getattr(target, "dataset", None), dict) else "energy"
    return {kind: target}
