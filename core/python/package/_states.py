"""What people hand over as states, as rows of levels in which -1 is unknown."""
import operator

import numpy


class Space:
    """The states of a model: D variables, variable i of the levels 0 to K_i - 1."""

    def __init__(self, told):
        self.cardinalities = numpy.array(told["cardinalities"])
        self.limits = self.cardinalities.tolist()
        self.shape, self.alphabet, self.names = tuple(told["shape"]), list(told["alphabet"]), list(told["names"])

    @property
    def dimension(self):
        return len(self.limits)

    def __repr__(self):
        each = set(self.cardinalities.tolist())
        levels = f"{min(each)} levels" if len(each) == 1 else f"{min(each)} to {max(each)} levels"
        return f"<{self.dimension} variables of {levels}>"


def numbers(x):
    """An array, also of a tensor of PyTorch that needs gradients."""
    return x.detach().cpu().numpy() if hasattr(x, "detach") else numpy.asarray(x)


def check_clash(known, condition):
    """Refuses a question that says one thing and is given another."""
    clash = (known >= 0) & (condition >= 0) & (known != condition)
    if clash.any():
        row, i = numpy.argwhere(clash)[0]
        raise ValueError(f"variable {i} of row {row} is {known[row, i]} in x and {condition[row, i]} in given")


def _check_values(values, space):
    if len(values) < max(space.limits):
        raise ValueError(f"values={tuple(values)} stand for {len(values)} levels, and there are {max(space.limits)}")


def _unknown(x):
    """Where an array has no number: a mask of its shape."""
    if x.dtype.kind == "f":
        return numpy.isnan(x)
    if x.dtype == object:
        return numpy.array([one is None or one is numpy.ma.masked or type(one).__name__ == "NAType" or
                            (isinstance(one, (float, numpy.floating)) and one != one) for one in x.ravel()],
                           bool).reshape(x.shape)
    return numpy.zeros(x.shape, bool)


def _whole(x, known, what):
    """The known numbers of an array as int64, 0 elsewhere."""
    if x.dtype.kind in "iub":
        return x.astype(numpy.int64)
    try:
        numbers = numpy.where(known, x, 0).astype(float)
    except (TypeError, ValueError):
        wrong = next(one for one in x[known].ravel() if not isinstance(one, (int, float, numpy.number)))
        raise TypeError(f"{what} must hold whole numbers, or None where a variable is unknown, not {wrong!r}") from None
    if (numbers != numpy.floor(numbers)).any():
        raise ValueError(f"{what} must hold whole numbers, not {numbers[numbers != numpy.floor(numbers)][0]}")
    return numbers.astype(numpy.int64)


def _check(levels, known, space, what):
    """Refuses what is out of range, which the host would take for something else."""
    high = known & (levels >= space.cardinalities)
    low = known & (levels < 0)
    if not (high | low).any():
        return
    row, i = numpy.argwhere(high | low)[0]
    levels_ = space.cardinalities[i]
    advice = ""
    if low.any() and set(numpy.unique(levels[known]).tolist()) <= {-1, 1} and (space.cardinalities == 2).all():
        advice = "; for spins say values=(-1, 1)"
    elif levels[row, i] == -1:
        advice = "; what is unknown is None, NaN or masked, not -1"
    raise ValueError(f"{what}: variable {i} of row {row} is {levels[row, i]}, of the levels 0 to {levels_ - 1}{advice}")


_PLAIN = {int, type(None)}


def _plain_state(x, space):
    """x with -1 for None where it is one state, a list of whole numbers in their range and None; else None."""
    if not isinstance(x, (list, tuple)) or len(x) != space.dimension or not set(map(type, x)) <= _PLAIN or -1 in x:
        return None
    levels = [-1 if one is None else one for one in x]
    return levels if min(levels) >= -1 and all(map(operator.lt, levels, space.limits)) else None


def to_levels(x, space, values=None, mask=None, what="x", read=None):
    """-> int64 [B, D] in C order, -1 where unknown; whether x was a single state.

    x: an array, list or frame [B, D], or one state [D]; a text or a list of texts, where `read` reads them.
    values: what each level stands for; mask: True where a variable is unknown.
    """
    if values is None and mask is None and (plain := _plain_state(x, space)):  # a list, without arrays on the way
        return numpy.array([plain]), True
    if read is None and (isinstance(x, str) or (isinstance(x, (list, tuple)) and x and isinstance(x[0], str))):
        raise TypeError(f"{what} is text, which a run reads whose states are spelled by letters; hand over levels")
    if isinstance(x, str):
        return numpy.ascontiguousarray(read(x)[None]), True
    if hasattr(x, "to_numpy"):
        x = x.to_numpy()
    if isinstance(x, (list, tuple)) and x and all(isinstance(one, str) for one in x):
        return numpy.stack([read(one) for one in x]), False
    masked = numpy.ma.getmaskarray(x) if isinstance(x, numpy.ma.MaskedArray) else None
    x = numpy.asarray(numpy.ma.getdata(x) if masked is not None else x)
    single = x.ndim == 1
    if x.size == 0 and x.ndim <= 2:
        x = x.reshape(0, space.dimension) if x.shape[-1:] != (space.dimension,) else numpy.atleast_2d(x)
        single = False
    if single:
        x = x[None]
    if x.ndim != 2 or x.shape[1] != space.dimension:
        raise ValueError(f"{what} must have the shape (B, {space.dimension}) or ({space.dimension},), not {x.shape}")
    unknown = _unknown(x)
    for more in (masked, mask):
        if more is not None:
            unknown = unknown | numpy.asarray(more, bool).reshape(x.shape)
    known = ~unknown
    if values is not None:
        _check_values(values, space)
        x = numpy.where(known, x, values[0])
        levels = numpy.full(x.shape, -1, numpy.int64)
        for k, value in enumerate(values):
            levels[known & (x == value)] = k
        if (levels[known] < 0).any():
            row, i = numpy.argwhere(known & (levels < 0))[0]
            raise ValueError(f"{what}: variable {i} of row {row} is {x.item(row, i)!r}, none of values={tuple(numpy.asarray(values).tolist())}")
    elif not unknown.any() and x.dtype == numpy.int64:
        levels = x  # as it is: no copy
    else:
        levels = numpy.where(known, _whole(x, known, what), -1)
    _check(levels, known, space, what)
    return numpy.ascontiguousarray(levels), single


def from_levels(levels, values=None):
    """Levels as the values that they stand for."""
    if values is None:
        return levels
    if len(values) == 2 and all(isinstance(value, int) for value in values):  # a fifth of the time of looking values up
        return levels * (values[1] - values[0]) + values[0]
    return numpy.asarray(values)[levels]
