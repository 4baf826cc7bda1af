"""Exact answers about an energy, where there is a way."""
import numpy

from ._process import alive, host
from . import _host, _specs
from ._states import Space, check_clash, to_levels


class Exact:
    """The exact answers of a spec's energy: `marginalia.exact` makes one."""

    def __init__(self, spec, overrides=None):
        self._made = _host.Exact(host(), *_specs.read(spec), _specs.settings(overrides))
        self.space = Space(self._exact.space())

    @property
    def _exact(self):
        alive()
        return self._made

    @property
    def method(self):
        """"enumeration", "elimination", ..."""
        return self._exact.method()

    @property
    def log_z(self):
        """log of the sum of f over all states, nats."""
        return self._exact.log_z()

    def marginals(self, x, given=None, values=None, mask=None):
        """log p(x_S | given) of each row, nats."""
        known, single = to_levels(x, self.space, values, mask)
        condition = None
        if given is not None:
            condition = numpy.ascontiguousarray(
                numpy.broadcast_to(to_levels(given, self.space, values, what="given")[0], known.shape))
            check_clash(known, condition)
            known = numpy.where(condition >= 0, condition, known)
        value = self._exact.log_marginal(known, condition)
        return float(value[0]) if single else value

    def single_marginals(self, given=None, values=None):
        """p(x_i = k | given) of every variable: [D, K]."""
        state = [None] * self.space.dimension if given is None else given
        return self._exact.single_marginals(to_levels(state, self.space, values, what="given")[0][0])

    def log_density(self, x, values=None):
        """log f of full states."""
        known, single = to_levels(x, self.space, values)
        if (known < 0).any():
            raise ValueError("x must be known: log f is of full states")
        value = self._exact.log_density(known)
        return float(value[0]) if single else value

    def __repr__(self):
        return f"<marginalia.Exact by {self.method}, {self.space!r}>"


def exact(spec, x=None, overrides=None, **question):
    """Exact answers about the energy of a spec; with x, log p of it at once."""
    answers = Exact(spec, overrides)
    return answers if x is None else answers.marginals(x, **question)
