"""Functions of Python as energies."""
import functools

from . import _host
from ._states import from_levels


def log_density(variables=None, levels=2, shape=None, cardinalities=None, values=None, name=None):
    """Makes a function of states an energy of this process.

        @marginalia.log_density(variables=16, values=(-1, 1))
        def chain(x):                                # int64 [B, D] of levels, or of `values`
            return 0.25 * (x[:, 1:] * x[:, :-1]).sum(1)   # log f of each state: [B]

        marginalia.run({"marginalia": 2, "energy": chain.energy, ...})

    cardinalities: [D], where variables differ in how many levels they have. The function is called once a batch, never by
    two threads at once; what it raises ends the run, with its traceback.
    """
    if cardinalities is None:
        if variables is None:
            raise TypeError("log_density needs variables=D, or cardinalities=[...]")
        cardinalities = [levels if values is None else len(values)] * variables
    shape = list(shape) if shape is not None else [len(cardinalities)]

    def decorate(function):
        called = name or f"{function.__module__}.{function.__qualname__}"

        @functools.wraps(function)
        def of_levels(x):
            return function(from_levels(x, values))

        _host.define_density(called, of_levels, [int(k) for k in cardinalities], shape)
        function.energy = {"type": "python", "function": called}
        return function

    return decorate
