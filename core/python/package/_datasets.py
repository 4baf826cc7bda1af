"""Arrays as datasets."""
import numpy

from . import _sources
from ._functions import _Component, _cardinalities, _shape
from ._states import Space, to_levels


class Dataset(_Component):
    """Rows to learn from, to validate by and to test on.

        data = marginalia.Dataset(x, levels=2)               # [N, D]: 80 %, 10 % and 10 % of the rows
        data = marginalia.Dataset(train, test=test, values=(-1, 1))
        marginalia.run({"marginalia": 2, "dataset": data, ...})

    x: an array, frame or list of rows; None, NaN or masked where nothing was observed. What is not given is taken from x by
    `split`, shares that stand for what is left out too, in an order drawn by `seed`. alphabet: the text of each level; of
    letters, rows may be texts.
    """
    kind = "dataset"

    def __init__(self, x, validation=None, test=None, levels=None, cardinalities=None, values=None, shape=None, alphabet=None,
                 names=None, split=(0.8, 0.1, 0.1), seed=0, name=None):
        if hasattr(x, "columns") and names is None:
            names = [str(column) for column in x.columns]
        if not hasattr(x, "shape"):
            x = list(x)
            x = x if x and isinstance(x[0], str) else numpy.asarray(x)
        levels = len(alphabet) if alphabet and levels is None else levels
        if levels is None and cardinalities is None and values is None:
            raise TypeError("say levels=K, cardinalities=[K_1, ..., K_D] or values=(...): what rows may hold is not told by "
                            "those that are there")
        self.cardinalities = _cardinalities(len(x[0]) if isinstance(x, list) else x.shape[-1], levels, cardinalities, values)
        self.shape = _shape(shape, self.cardinalities)
        self.alphabet, self.names = list(alphabet or []), list(names or [])
        space = Space({"cardinalities": self.cardinalities, "shape": self.shape, "alphabet": self.alphabet,
                       "names": self.names})
        given = {"train": x, "validation": validation, "test": test}
        read = _reader(self.alphabet) if self.alphabet else None
        rows = {part: to_levels(of, space, values, what=part, read=read)[0] for part, of in given.items() if of is not None}
        self.splits = _split(rows, split, seed)
        self.name = name or _sources.digest("Dataset", self.cardinalities, self.shape, *self.splits)
        self.dataset = _sources.define("dataset", self.name, self)

    def __setstate__(self, state):
        self.__dict__.update(state)
        _sources.define("dataset", self.name, self)

    @property
    def component(self):
        return self

    def __repr__(self):
        return f"<marginalia.Dataset of {' + '.join(str(len(part)) for part in self.splits)} rows, " \
               f"{len(self.cardinalities)} variables>"


def _reader(alphabet):
    """Texts of one letter a level as levels."""
    def read(text):
        wrong = [letter for letter in text if letter not in alphabet]
        if wrong:
            raise ValueError(f"{text!r}: {wrong[0]!r} is none of the letters {''.join(alphabet)}")
        return numpy.array([alphabet.index(letter) for letter in text])
    return read


def _split(rows, shares, seed):
    """[train, validation, test]: those that are not given come out of the first."""
    missing = [part for part in ("validation", "test") if part not in rows]
    share = dict(zip(("train", "validation", "test"), shares))
    if len(shares) != 3 or min(shares) < 0 or share["train"] <= 0:
        raise ValueError(f"split must be three shares, of rows to learn from, to validate by and to test on, not {shares}")
    whole = share["train"] + sum(share[part] for part in missing)
    order, x = numpy.random.default_rng(seed).permutation(len(rows["train"])), rows["train"]
    begin = 0
    for part in missing:
        count = int(round(len(x) * share[part] / whole))
        rows[part] = x[numpy.sort(order[begin:begin + count])]
        begin += count
    rows["train"] = x[numpy.sort(order[begin:])] if missing else x
    return [numpy.ascontiguousarray(rows[part]) for part in ("train", "validation", "test")]
