"""Runs: trained, opened, asked."""
import dataclasses
import html
import json
import math
import os
import pathlib
import typing

import numpy

from . import _frames, _host
from ._process import alive, host
from ._states import Space, check_clash, from_levels, to_levels


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a model says: of a batch, arrays with a row each; of a single state, numbers.

    status: "exact", "estimate", "upper", "lower" or "certified"; passes: of the network a row, on average; warnings:
    (row, text). Where it was certified, the truth lies between lower and upper with the probability `confidence`.
    """
    value: typing.Any
    status: str
    estimator: str
    passes: float
    states: typing.Any = None
    warnings: tuple = ()
    lower: typing.Any = None
    upper: typing.Any = None
    confidence: typing.Any = None

    def frame(self, index=None):
        """A row each, for pandas: the value, its interval where there is one, the states where they were drawn."""
        if numpy.ndim(self.value) > 1:
            raise TypeError("conditionals are of three axes, [B, D, K], and no frame")
        columns = {"value": numpy.atleast_1d(self.value)}
        if self.lower is not None:
            columns.update(lower=numpy.atleast_1d(self.lower), upper=numpy.atleast_1d(self.upper))
        if self.states is not None:
            for i, column in enumerate(numpy.atleast_2d(self.states).T):
                columns[f"x{i}"] = column
        return _frames.pandas().DataFrame(columns, index=index)

    def __array__(self, dtype=None, copy=None):
        return numpy.array(self.value, dtype) if copy else numpy.asarray(self.value, dtype)

    def __float__(self):
        return float(self.value)


class Run:
    """A trained run, which answers. `marginalia.load` opens one."""

    def __init__(self, folder, checkpoint="", device="", threads=0):
        self._opened = checkpoint, device, threads
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
    def results(self):
        """{"nll/one_pass": 6.01, ...}: what was measured."""
        return _frames.results(self._evaluation())

    @property
    def evaluation(self):
        """What was measured, a row a metric and estimator: a frame."""
        return _frames.evaluation_frame(self._evaluation())

    @property
    def metrics(self):
        """What was logged while it was trained, a row a line of metrics.jsonl: a frame."""
        return _frames.metrics_frame(self.folder / "metrics.jsonl")

    def _evaluation(self):
        return json.loads((self.folder / "evaluation.json").read_text(encoding="utf-8"))

    def estimators(self, kind=None):
        """The ways in which the model answers: dicts with kind, estimator, status, passes, route, sets."""
        return [one for one in self._run.capabilities() if kind in (None, one["kind"])]

    def marginals(self, x, given=None, estimator="", certify=None, order="random", orders=5, values=None, mask=None, seed=0):
        """log p(x_S | given), nats: of each row its known variables, the others summed out.

        x, given: states (see the module); given: the part of x that is conditioned on, known in x as well or not. certify:
        True, or {"confidence": 0.95, "width": 0.1, "seconds": 10}: an interval that holds the truth, a row after the other.
        """
        known, single = self._levels(x, values, mask, "x")
        condition = None
        if given is not None:
            condition, _ = self._levels(given, values, None, "given")
            condition = numpy.ascontiguousarray(numpy.broadcast_to(condition, known.shape))
            check_clash(known, condition)
            known = numpy.where(condition >= 0, condition, known)
        if certify:
            return self._certify(known, condition, single, seed, **({} if certify is True else certify))
        return self._ask("log_marginal", known, condition, single, estimator=estimator, order=order, orders=orders, seed=seed)

    def _certify(self, known, condition, single, seed, confidence=0.95, width=0.1, seconds=0):
        alive()
        told = self._run.certify(known, condition, confidence, width, seconds, seed)

        def column(key, missing):
            numbers = numpy.array([missing if one[key] is None else float(one[key]) for one in told])
            return float(numbers[0]) if single else numbers
        warnings = tuple((row, one["reason"]) for row, one in enumerate(told) if one.get("reason"))
        return Answer(column("log_marginal", math.nan), "certified", "certified",
                      float(numpy.mean([one["passes"] for one in told])) if told else 0.0, None, warnings,
                      column("lower", -math.inf), column("upper", math.inf), confidence)

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

    def log_density(self, x, values=None):
        """log f of full states, of the energy that the run was trained on: float64 [B]."""
        alive()
        known, single = self._levels(x, values, None, "x")
        value = self._run.log_density(known)
        return float(value[0]) if single else value

    def text(self, state):
        """A state as people read it."""
        return self._run.text_of(self._levels(state, None, None, "state")[0][0])

    def measure(self, metrics=()):
        """Measures the run again, into its evaluation.json; metrics: names, else all. -> what was measured now."""
        return _host.measure(host(), self.folder, list(metrics), *self._opened)

    def report(self):
        """The page of this run."""
        return self.folder / "report.html"

    def __reduce__(self):
        return load, (str(self.folder.resolve()), *self._opened)

    def _repr_html_(self):
        results = self.results if (self.folder / "evaluation.json").exists() else {}
        rows = "".join(f"<tr><td>{html.escape(key)}</td><td>{value}</td></tr>" for key, value in results.items())
        return f"<p>{html.escape(repr(self))}</p><table>{rows}</table>"

    def _levels(self, x, values, mask, what):
        return to_levels(x, self.space, values, mask, what, self._run.state_of)

    def _ask(self, kind, known, given, single, values=None, estimator="", orders=5, order="random", steps=0, seed=0):
        alive()
        value, states, estimator, status, passes, warnings = self._run.answer(known, given, kind, estimator, orders, order,
                                                                              steps, seed)
        if states is not None:
            states = from_levels(states, values)
        if single:
            value = value[0] if value.ndim > 1 else float(value[0])
            states = None if states is None else states[0]
        return Answer(value, status, estimator, passes, states, warnings)


def load(folder, checkpoint="", device="", threads=0):
    """Opens a trained run. checkpoint: "" for the best, else the last; or its name."""
    return Run(folder, checkpoint, device, threads)
