"""Runs: trained, opened, asked."""
import dataclasses
import json
import os
import pathlib
import typing

import numpy

from ._process import host
from . import _host
from ._states import Space, from_levels, to_levels


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a model says: of a batch, arrays with a row each; of a single state, numbers.

    status: "exact", "estimate", "upper" or "lower"; passes: of the network a row, on average; warnings: (row, text).
    """
    value: typing.Any
    status: str
    estimator: str
    passes: float
    states: typing.Any = None
    warnings: tuple = ()

    def __array__(self, dtype=None):
        return numpy.asarray(self.value, dtype)

    def __float__(self):
        return float(self.value)


def _spec(spec):
    """-> the text of a spec, what messages call it, the folder beside which its files are."""
    if isinstance(spec, dict):
        return json.dumps(spec), "spec", pathlib.Path.cwd()
    file = pathlib.Path(spec)
    return file.read_text(), str(file), file.resolve().parent


def _settings(overrides):
    """{"training.steps": 10} as settings of the command line."""
    if isinstance(overrides, (list, tuple)):
        return list(overrides)
    return [f"{key}={json.dumps(value)}" for key, value in (overrides or {}).items()]


class Run:
    """A trained run, which answers. `marginalia.load` opens one."""

    def __init__(self, folder, checkpoint="", device="", threads=0):
        self._run = _host.Trained(host(), os.fspath(folder), checkpoint, device, threads)
        self.space = Space(self._run.space())

    def __repr__(self):
        return f"<marginalia.Run {self.folder}: {self.record['spec']['family']['type']}, step {self.step}, {self.space!r}>"

    @property
    def folder(self):
        return pathlib.Path(self._run.folder)

    @property
    def step(self):
        """Of the checkpoint that answers."""
        return self._run.step

    @property
    def record(self):
        """run.json."""
        return self._run.record

    @property
    def evaluation(self):
        """evaluation.json."""
        return json.loads((self.folder / "evaluation.json").read_text())

    @property
    def metrics(self):
        """{"nll/one_pass": 6.01, ...}"""
        return {f"{metric}/{estimator}": of["value"] for metric, by in self.evaluation["metrics"].items()
                for estimator, of in by.items()}

    def estimators(self, kind=None):
        """The ways in which the model answers: dicts with kind, estimator, status, passes, route, sets."""
        return [one for one in self._run.capabilities() if kind in (None, one["kind"])]

    def log_marginals(self, x, given=None, estimator="", order="random", orders=5, values=None, mask=None, seed=0):
        """log p(x_S | given), nats: of each row its known variables, the others summed out.

        x, given: states (see the module); given: the part of x that is conditioned on, known in x as well or not.
        """
        known, single = self._levels(x, values, mask, "x")
        condition = None
        if given is not None:
            condition, _ = self._levels(given, values, None, "given")
            condition = numpy.ascontiguousarray(numpy.broadcast_to(condition, known.shape))
            clash = (known >= 0) & (condition >= 0) & (known != condition)
            if clash.any():
                row, i = numpy.argwhere(clash)[0]
                raise ValueError(f"variable {i} of row {row} is {known[row, i]} in x and {condition[row, i]} in given")
            known = numpy.where(condition >= 0, condition, known)
        return self._ask("log_marginal", known, condition, single, estimator=estimator, order=order, orders=orders, seed=seed)

    def conditionals(self, x, estimator="", values=None, mask=None, seed=0):
        """log p(x_i = k | x_S) of every variable: [B, D, K], -inf where a level cannot be."""
        known, single = self._levels(x, values, mask, "x")
        return self._ask("conditionals", known, None, single, estimator=estimator, seed=seed)

    def sample(self, n=1, given=None, order="random", steps=0, values=None, seed=0):
        """n states, each with log p along the order it was drawn in; with `given` n completions of each row of it."""
        if given is None:
            known = numpy.full((n, self.space.dimension), -1, numpy.int64)
        else:
            known = numpy.repeat(self._levels(given, values, None, "given")[0], n, axis=0)
        return self._ask("sample", known, None, False, values=values, order=order, steps=steps, seed=seed)

    def most_probable(self, given=None, values=None):
        """The most probable completion of each row, with log p of it."""
        if given is None:
            given = [None] * self.space.dimension
        known, single = self._levels(given, values, None, "given")
        return self._ask("max_probable", known, None, single, values=values)

    def log_z(self):
        """log Z of the energy, as the model has it, nats."""
        known = numpy.full((1, self.space.dimension), -1, numpy.int64)
        return self._ask("log_z", known, None, True)

    def text(self, state):
        """A state as people read it."""
        return self._run.text_of(self._levels(state, None, None, "state")[0][0])

    def measure(self, metrics=()):
        """Measures the run again, into its evaluation.json. -> what was measured now."""
        return host().measure(self.folder, list(metrics), 0)

    def report(self):
        """The page of this run."""
        return self.folder / "report.html"

    def _repr_html_(self):
        rows = "".join(f"<tr><td>{key}</td><td>{value}</td></tr>" for key, value in self.metrics.items())
        return f"<p>{self!r}</p>".replace("<marginalia", "&lt;marginalia") + f"<table>{rows}</table>"

    def _levels(self, x, values, mask, what):
        return to_levels(x, self.space, values, mask, what, self._run.state_of)

    def _ask(self, kind, known, given, single, values=None, **more):
        told = self._run.answer(known, given, kind=kind, **more)
        value, states = told["value"], told["states"]
        if states is not None:
            states = from_levels(states, values)
        if single:
            value = value[0] if value.ndim > 1 else float(value[0])
            states = None if states is None else states[0]
        return Answer(value, told["status"], told["estimator"], told["passes"], states, tuple(told["warnings"]))


def load(folder, checkpoint="", device="", threads=0):
    """Opens a trained run. checkpoint: "" for the best, else the last; or its name."""
    return Run(folder, checkpoint, device, threads)


def check(spec, overrides=None):
    """The spec with every default filled in; raises SpecError with all that is wrong with it."""
    return host().check(*_spec(spec), _settings(overrides))


def _free(spec):
    """runs/STEM, or that with a number behind, whichever is free."""
    stem = "run" if isinstance(spec, dict) else pathlib.Path(spec).stem
    folder, number = pathlib.Path("runs") / stem, 1
    while folder.exists():
        number += 1
        folder = pathlib.Path("runs") / f"{stem}-{number}"
    return folder


def run(spec, overrides=None, out=None, progress=None, say=None, force=False, device="", threads=0):
    """Trains and measures what a spec asks for. -> the run, opened.

    spec: a dict or a file; overrides: {"training.steps": 100}; out: its folder, else runs/STEM; progress(step, share,
    loss) and say(text) are called while it goes on. Ctrl-C ends training with a checkpoint, `resume` goes on.
    """
    folder = pathlib.Path(out) if out is not None else _free(spec)
    told = host().run(*_spec(spec), _settings(overrides), folder, force, device, threads, say, progress)
    return Run(told["folder"], device=device, threads=threads)


def resume(folder, progress=None, say=None, device="", threads=0):
    """Goes on from a run's newest checkpoint. -> the run, opened."""
    told = host().resume(pathlib.Path(folder), device, threads, say, progress)
    return Run(told["folder"], device=device, threads=threads)
