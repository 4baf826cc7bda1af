"""Densities that are written in Python: functions, and factors."""
import inspect

import numpy

from . import _sources
from ._states import from_levels, numbers


class _Component:
    """What the host is handed."""
    kind = "energy"
    alphabet = []

    def with_parameters(self, given, where):
        raise TypeError(f"{where} takes no parameters, and was given {sorted(given)}")


class _Density(_Component):
    def __init__(self, function, name, cardinalities, shape, alphabet, values, sign):
        self.name, self.cardinalities, self.shape, self.alphabet = name, cardinalities, shape, alphabet
        self._function, self._values, self._sign, self._changes, self._given = function, values, sign, None, {}

    def log_density(self, x):
        return self._signed(self._function(from_levels(x, self._values), **self._given))

    @property
    def local(self):
        return None if self._changes is None else self._all_changes

    def _all_changes(self, x):
        return self._signed(self._changes(from_levels(x, self._values), **self._given))

    def _signed(self, value):
        value = numbers(value)
        return value if self._sign == 1 else self._sign * value

    def with_parameters(self, given, where):
        try:
            inspect.signature(self._function).bind(None, **given)
        except TypeError as error:
            raise TypeError(f"{where} is called with the parameters {given}: {error}") from None
        made = _Density(self._function, self.name, self.cardinalities, self.shape, self.alphabet, self._values, self._sign)
        made._changes, made._given = self._changes, given
        return made


def _cardinalities(variables, levels, cardinalities, values):
    if cardinalities is None:
        if variables is None:
            raise TypeError("say variables=D and levels=K, or cardinalities=[K_1, ..., K_D]")
        cardinalities = [levels if values is None else len(values)] * variables
    if values is not None and max(cardinalities) > len(values):
        raise ValueError(f"values={tuple(values)} stand for {len(values)} levels, and there are {max(cardinalities)}")
    return [int(k) for k in cardinalities]


def _shape(shape, cardinalities):
    shape = [len(cardinalities)] if shape is None else [int(n) for n in shape]
    if numpy.prod(shape) != len(cardinalities):
        raise ValueError(f"the shape {tuple(shape)} is of {numpy.prod(shape)} variables, not {len(cardinalities)}")
    return shape


def _decorator(variables, levels, cardinalities, values, shape, alphabet, name, sign):
    cardinalities = _cardinalities(variables, levels, cardinalities, values)
    shape = _shape(shape, cardinalities)

    def decorate(function):
        called = name or _sources.free("energy", function)
        component = _Density(function, called, cardinalities, shape, list(alphabet or []), values, sign)

        def local(changes):
            """Makes a function of full states that returns its value at every single change, [B, D, K], what Gibbs sweeps
            read; where nothing changes, [b, i, x_i], it is the function itself."""
            component._changes = changes
            return changes

        function.component = component
        function.energy = _sources.define("energy", called, function)
        function.local = local
        return function

    return decorate


def log_density(variables=None, levels=2, shape=None, cardinalities=None, values=None, alphabet=None, name=None):
    """Makes a function of states an energy.

        @marginalia.log_density(variables=16, values=(-1, 1))
        def chain(x):                                # int64 [B, D] of levels, or of `values`
            return 0.25 * (x[:, 1:] * x[:, :-1]).sum(1)   # log f of each state: [B]

        marginalia.run({"marginalia": 2, "energy": chain.energy, ...})

    cardinalities: [D], where variables differ in how many levels they have; alphabet: the text of each level, in which states
    may then be asked about and are shown. The function is called once a batch, never by
    two threads at once; what it raises ends the run, with its traceback. A second function may say what it is at every
    single change: `@chain.local def changes(x): ...` returns [B, D, K]. A spec names what a file defines by
    {"type": "python", "file": "FILE.py", "name": "chain", "parameters": {...}}; the parameters are keyword arguments.
    """
    return _decorator(variables, levels, cardinalities, values, shape, alphabet, name, 1)


def energy(beta=1, variables=None, levels=2, shape=None, cardinalities=None, values=None, alphabet=None, name=None):
    """As log_density, of a function that returns energies E: log f = -beta E."""
    return _decorator(variables, levels, cardinalities, values, shape, alphabet, name, -beta)


class Factors(_Component):
    """A density of factors: log f(x) = sum_a table_a[x_scope_a].

        marginalia.Factors([2, 3, 2], [([0, 1], numpy.log([[1, 2, 1], [2, 1, 1]])), ([2], [0.0, 0.5])])

    cardinalities: [D]; factors: pairs of a scope, the variables, and a table of log values, nats, with an axis a variable;
    -inf forbids. With them come exact answers by elimination, priors and certificates. memory: GiB of exact answers.
    """

    def __init__(self, cardinalities, factors, shape=None, alphabet=None, memory=8, name=None):
        self.cardinalities = [int(k) for k in cardinalities]
        self.shape, self.memory = _shape(shape, self.cardinalities), float(memory)
        self.alphabet = list(alphabet) if alphabet is not None else []
        self.factors = [self._checked(a, *one) for a, one in enumerate(factors)]
        self.name = name or _sources.digest(type(self).__name__, self.cardinalities, self.shape,
                                            *(part for factor in self.factors for part in factor))
        self.energy = _sources.define("energy", self.name, self)

    def __setstate__(self, state):
        self.__dict__.update(state)
        _sources.define("energy", self.name, self)

    @property
    def component(self):
        return self

    def _checked(self, a, scope, table):
        scope, table = numpy.asarray(scope, numpy.int64).reshape(-1), numpy.asarray(table, float)
        if len(set(scope.tolist())) < len(scope) or not all(0 <= i < len(self.cardinalities) for i in scope):
            raise ValueError(f"factor {a}: its scope {scope.tolist()} must be different variables of 0 to "
                             f"{len(self.cardinalities) - 1}")
        wanted = tuple(self.cardinalities[i] for i in scope)
        if table.shape != wanted:
            raise ValueError(f"factor {a} of the variables {scope.tolist()}: its table must have the shape {wanted}, not "
                             f"{table.shape}")
        if numpy.isnan(table).any() or (table == numpy.inf).any():
            raise ValueError(f"factor {a} of the variables {scope.tolist()} holds nan or +inf; log values are finite or -inf")
        return scope, numpy.ascontiguousarray(table)

    def log_density(self, x):
        """log f of states int64 [B, D] of levels: float64 [B]."""
        x = numpy.asarray(x)
        return sum((table[tuple(x[:, i] for i in scope)] for scope, table in self.factors), numpy.zeros(len(x)))

    def __repr__(self):
        return f"<marginalia.{type(self).__name__} of {len(self.cardinalities)} variables, {len(self.factors)} factors>"


class Pairwise(Factors):
    """Couplings and fields: log f(x) = sum_{i<j} J_ij v_i v_j + sum_i h_i v_i, v_i the values of x_i, -1 and 1 by default.

    J: [D, D], dense or scipy.sparse, symmetric or with one triangle alone, each pair counted once; h: [D], a number, or
    None. nats: the inverse temperature is part of both.
    """

    def __init__(self, J, h=None, values=(-1, 1), shape=None, memory=8, name=None):
        pairs, D = self._pairs(J)
        v = numpy.asarray(values, float)
        fields = numpy.zeros(D) if h is None else numpy.broadcast_to(numpy.asarray(h, float), (D,))
        factors = [((i, j), coupling * numpy.outer(v, v)) for (i, j), coupling in pairs]
        factors += [((i,), fields[i] * v) for i in range(D) if fields[i] != 0]
        super().__init__([len(v)] * D, factors, shape, memory=memory, name=name)

    @staticmethod
    def _pairs(J):
        """[((i, j), J_ij)] with i < j, in their order, and D."""
        if hasattr(J, "tocoo"):
            J = J.tocoo()
            J.sum_duplicates()
            size, entries = J.shape, zip(J.row.tolist(), J.col.tolist(), J.data.tolist())
        else:
            J = numpy.asarray(J, float)
            size = J.shape
            entries = ((i, j, J[i, j]) for i, j in numpy.argwhere(J != 0).tolist()) if J.ndim == 2 else ()
        if len(size) != 2 or size[0] != size[1]:
            raise ValueError(f"J must have the shape (D, D), not {size}")
        upper, lower = {}, {}
        for i, j, coupling in entries:
            if i == j and coupling != 0:
                raise ValueError(f"J couples variable {i} with itself ({coupling}); what is of one variable goes into h")
            if coupling != 0:
                (upper if i < j else lower)[min(i, j), max(i, j)] = float(coupling)
        if upper and lower and upper != lower:
            i, j = next(pair for pair in sorted(set(upper) | set(lower)) if upper.get(pair) != lower.get(pair))
            raise ValueError(f"J must be symmetric, or one triangle: J[{i}, {j}] is {upper.get((i, j), 0.0)} and "
                             f"J[{j}, {i}] is {lower.get((i, j), 0.0)}")
        return sorted((upper or lower).items()), size[0]
