"""Means of functions of states, by importance weights of a model's own samples."""
import dataclasses
import typing

import numpy

from . import _frames
from ._runs import Run
from ._states import from_levels


@dataclasses.dataclass(frozen=True)
class Mean:
    """value: sum_n w_n g(x_n) / sum_n w_n; stderr: of that, by the delta method; ess: (sum w)^2 / sum w^2, of `samples`."""
    value: typing.Any
    stderr: typing.Any
    ess: float
    samples: int

    def __float__(self):
        return float(self.value)


def _mean(g, log_w, of=None):
    """Self-normalised importance sampling: g [N] or [N, M], log_w [N]; `of`: a function of the M means, whose error is that of
    its linear part. States of weight 0, where f is 0, count as samples and say nothing."""
    g, log_w = numpy.asarray(g, float), numpy.asarray(log_w, float)
    if numpy.isnan(log_w).any():
        raise ValueError("the model does not say log q of what it draws: there are no weights")
    seen = log_w > -numpy.inf
    if not seen.any():
        raise ValueError("log f is -inf at every state that was drawn")
    w = numpy.exp(log_w[seen] - log_w.max())
    w /= w.sum()
    shape = (-1,) + (1,) * (g.ndim - 1)
    mean = (w.reshape(shape) * g[seen]).sum(0)
    off = w.reshape(shape) * (g[seen] - mean)
    value = mean
    if of is not None:
        value, off = of(mean), off @ _gradient(of, mean)
    stderr = numpy.sqrt((off ** 2).sum(0))
    return Mean(value if numpy.ndim(value) else float(value), stderr if numpy.ndim(stderr) else float(stderr),
                float(1 / (w ** 2).sum()), len(log_w))


def _gradient(of, at):
    """By central differences, which are exact to rounding for what is made of a few products and quotients."""
    gradient = numpy.zeros(len(at))
    for i, step in enumerate(1e-5 * numpy.maximum(abs(at), 1e-3)):
        shift = numpy.zeros(len(at))
        shift[i] = step
        gradient[i] = (of(at + shift) - of(at - shift)) / (2 * step)
    return gradient


def _weighted(run, samples, seed):
    """-> states int64 [N, D], log f [N], log q [N]; of a model of data log f is log q."""
    drawn = run.sample(samples, seed=seed)
    log_q = numpy.asarray(drawn.value)
    has_energy = run.record["spec"].get("energy") is not None
    return drawn.states, run.log_density(drawn.states) if has_energy else log_q, log_q


def observables(run, functions, samples=10000, values=None, seed=0):
    """Means of functions of states under the energy that a run was trained on; under the model, where it learned from data.

        marginalia.observables(run, {"magnetisation": lambda x: abs(x.mean(1))}, values=(-1, 1))

    functions: name -> function of states [N, D] that returns [N] or [N, M]. Weights w = f(x) / q(x) of samples x ~ q correct
    what the model misses, as long as the ESS says so. -> name -> Mean.
    """
    run = run if isinstance(run, Run) else Run(run)
    x, log_f, log_q = _weighted(run, samples, seed)
    seen = from_levels(x, values)
    return {name: _mean(g(seen), log_f - log_q) for name, g in functions.items()}


def thermodynamics(run, temperatures, samples=10000, seed=0):
    """Energy, heat capacity, susceptibility and Binder ratio of spins, a row a temperature, from one run's samples.

    The run's energy is taken at T = 1, E(x) = -log f(x) - as of a coupling in units of kT -, and p_T ~ f^(1/T). Of each spin:
    energy <E>/D; heat capacity (<E^2> - <E>^2) / (T^2 D); with M = sum_i s_i, s = -1 or 1, magnetisation <|M|>/D,
    susceptibility (<M^2> - <|M|>^2) / (T D), Binder ratio 1 - <M^4> / (3 <M^2>^2). ess: of the weights at that temperature;
    where it is few, so is what the row says. Each with its error, NAME_stderr. -> a frame.
    """
    run = run if isinstance(run, Run) else Run(run)
    if (run.space.cardinalities != 2).any():
        raise ValueError("thermodynamics is of spins: two levels a variable")
    x, log_f, log_q = _weighted(run, samples, seed)
    D, M, rows = x.shape[1], (2 * x - 1).sum(1).astype(float), []
    E = -numpy.maximum(log_f, -1e150)  # where f is 0 the weight is
    for T in numpy.atleast_1d(temperatures).astype(float):
        if not T > 0:
            raise ValueError(f"temperatures are above 0, not {T}")
        seen = numpy.stack([E, E ** 2, abs(M), M ** 2, M ** 4], 1)
        row = {"temperature": T}
        for name, of in {"energy": lambda m: m[0] / D, "heat_capacity": lambda m: (m[1] - m[0] ** 2) / (T * T * D),
                         "magnetisation": lambda m: m[2] / D, "susceptibility": lambda m: (m[3] - m[2] ** 2) / (T * D),
                         "binder": lambda m: 1 - m[4] / (3 * m[3] ** 2)}.items():
            mean = _mean(seen, log_f / T - log_q, of)
            row.update({name: mean.value, f"{name}_stderr": mean.stderr, "ess": mean.ess})
        rows.append(row)
    return _frames.pandas().DataFrame(rows).set_index("temperature")
