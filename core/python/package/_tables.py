"""Tables of mixed columns, in the manner of scikit-learn."""
import io
import json
import os
import pathlib
import shutil
import tempfile
import weakref
import zipfile

import numpy

from . import _frames
from ._process import host
from ._runs import Run
from ._specs import keep_or_write
from ._training import run

try:
    from sklearn.base import BaseEstimator as _Estimator, DensityMixin as _Mixin, TransformerMixin as _Transformer
    from sklearn.exceptions import NotFittedError as _NotFitted
    from sklearn.utils.metaestimators import available_if as _available_if
except ImportError:  # scikit-learn is not needed
    def _available_if(check):
        return lambda function: function

    class _Estimator:
        def get_params(self, deep=True):
            names = self.__init__.__code__.co_varnames[1:self.__init__.__code__.co_argcount]
            return {name: getattr(self, name) for name in names}

        def set_params(self, **given):
            for name, value in given.items():
                setattr(self, name, value)
            return self

    class _Mixin:
        pass

    class _Transformer:
        pass

    class _NotFitted(ValueError, AttributeError):
        pass

# What experiments/tables/any.json trains, within its seconds.
_CIRCUIT = {"type": "circuit", "latents": 8, "smoothing": 10, "tree": "resampled"}
_MIXTURE = {"type": "continuous_mixture", "hidden": 128, "points": 256, "points_test": 1024,
            "refinement": "latent_optimisation", "numbers": "polynomials"}
FAMILY = {"type": "best_of", "keep": "mixture",
          "families": ["independent", "chow_liu", _CIRCUIT, _MIXTURE, {"type": "circuit", "latents": 64}],
          "more": [_MIXTURE, _CIRCUIT, _MIXTURE, _CIRCUIT]}
TRAINING = {"steps": 1000000, "batch_size": 256,
            "optimizer": {"type": "adamw", "learning_rate": 0.001, "weight_decay": 0.01}, "schedule": {"type": "cosine"}}

LEAST_ROWS = 10


class Table(_Estimator, _Mixin, _Transformer):
    """A joint model of a table's columns: labels, numbers, dates, gaps.

        table = marginalia.Table(seconds=60).fit(frame)
        table.transform(frame)                                  # gaps filled
        table.sample(10, conditions="age>=30, sex=Male")        # rows of which they hold, never by rejection
        table.predict_proba(frame, target="income")             # one column given the others
        table.cell_scores(frame)                                # -log p(cell | the rest), and p-values

    seconds: of training; family: a component of a spec, by default the exact families of experiments/tables/any.json; dataset:
    parameters of the dataset "csv" beside the file, as {"categories": ["zip"]}; seed: of splits, training and draws; out: the
    folder of the run, else one that lasts as long as this object. Frames keep their columns' names and index; arrays have
    columns x0, x1, ... Columns that are no variables, as ids and such as repeat another (`marginalia data describe` says
    which), are passed on as they are, gaps too, and not drawn. `run_` is the run, for all other questions.
    """

    def __init__(self, seconds=30, family=None, dataset=None, seed=0, out=None, threads=0):
        self.seconds, self.family, self.dataset = seconds, family, dataset
        self.seed, self.out, self.threads = seed, out, threads

    def fit(self, X, y=None):
        """Learns from the rows of X; y is passed over. -> self."""
        frame = self._frame(X, fitting=True)
        if len(frame) < LEAST_ROWS:
            raise ValueError(f"n_samples={len(frame)}: a table needs {LEAST_ROWS} rows to learn, validate and test by")
        self._own = None if self.out is not None else self._folder()
        folder = pathlib.Path(self.out if self._own is None else self._own / "run")
        file = folder.with_name(folder.name + ".csv")
        file.parent.mkdir(parents=True, exist_ok=True)
        keep_or_write(file, frame.to_csv(index=False, na_rep=""))
        split = {"type": "shares", "valid": 0.1, "test": 0.1, "seed": self.seed}
        dataset = {"type": "csv", "file": str(file.resolve()), "header": "yes", "separator": ",", "missing": [""], "split": split,
                   **(self.dataset or {})}
        self.run_ = run({"seed": self.seed, "dataset": dataset, "family": self.family or FAMILY,
                         "training": {**TRAINING, "budget": {"seconds": self.seconds}},
                         "evaluation": {"rows": "all", "metrics": ["nll"], "samples": 0}}, out=folder, threads=self.threads)
        self._types = {name: column.dtype for name, column in frame.items()}
        self.n_features_in_, self.columns_ = frame.shape[1], list(frame.columns)
        if hasattr(X, "columns"):
            self.feature_names_in_ = numpy.array([str(name) for name in frame.columns], dtype=object)
        return self

    def score_samples(self, X):
        """log p of what was observed in each row, nats: float64 [N]."""
        return self._table("score", X)["_log_p"].to_numpy(float)

    def score(self, X, y=None):
        """The mean of score_samples."""
        return float(self.score_samples(X).mean())

    def cell_scores(self, X, false_discoveries=0.0):
        """Of each cell -log p(cell | the rest of its row) and its p-value by the validation rows: a frame, a row a cell."""
        more = ["--false-discoveries", str(false_discoveries)] if false_discoveries else []
        return self._table("score", X, "--cells", *more)

    def transform(self, X):
        """X with its gaps filled, by the most probable label or the median of a number."""
        frame = self._frame(X)
        filled = self._rows("impute", frame)
        filled.index = frame.index
        return filled if hasattr(X, "columns") else filled.to_numpy()

    def impute(self, X, draws):
        """X `draws` times over, its gaps drawn jointly, the number of the draw in the column _draw."""
        return self._rows("impute", self._frame(X), "--draws", str(draws), "--seed", str(self.seed))

    def sample(self, n_samples=1, conditions=None, random_state=None):
        """Rows drawn from the model, of which the conditions hold: a frame."""
        words = ["--given", conditions] if conditions else []
        seed = self.seed if random_state is None else int(random_state)
        return self._rows("sample", None, "--count", str(n_samples), "--seed", str(seed), *words)

    def probability(self, target, conditions=None):
        """p of conditions, given others: "age>=30, income=\\">50K\\""."""
        words = ["--given", conditions] if conditions else []
        return float(self._ask("probability", None, "--target", target, *words)["probability"].iloc[0])

    @_available_if(lambda self: self.labels_)
    def predict_proba(self, X, target=None):
        """The probabilities of each label of one column, by default the last that has labels, given the others, whatever X
        holds there: [N, labels], a frame where X is one, which names them. Of numbers ask `predict`."""
        told = self._predicted(X, self.labels_[-1] if target is None else target)
        if not self._is_labels(told):
            raise ValueError(f"{target} is a number, of which there is no probability of each value; ask predict(X, target)")
        chances = told[[name for name in told.columns if name.startswith("_p(")]]
        chances = chances.rename(columns=lambda name: name[len("_p("):-1])
        return chances if hasattr(X, "columns") else chances.to_numpy()

    def predict(self, X, target=None):
        """One column given the others, by default the last: the most probable label, or the median of a number."""
        told = self._predicted(X, self.columns_[-1] if target is None else target)["_predicted"]
        return told if hasattr(X, "columns") else told.to_numpy()

    def _predicted(self, X, target):
        self._fitted()
        if target not in self.columns_:
            raise ValueError(f"no column is called {target!r}; there are {self.columns_}")
        is_last = target == self.columns_[-1]
        frame = self._frame(X, optional=target if hasattr(X, "columns") or is_last else None)
        told = self._ask("predict", frame, "--target", target)
        told.index = frame.index
        return told

    @staticmethod
    def _is_labels(told):
        return any(name.startswith("_p(") for name in told.columns)

    @property
    def labels_(self):
        """Columns that are labels."""
        self._fitted()
        described = json.loads((self.run_.folder / "dataset.json").read_text(encoding="utf-8"))
        return [one["name"] for one in described["schema"]["columns"] if one["kind"] in ("category", "boolean")]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "run_")

    def _folder(self):
        """One that is there as long as this object."""
        folder = tempfile.mkdtemp(prefix="marginalia-")
        weakref.finalize(self, _remove, folder, os.getpid())
        return pathlib.Path(folder)

    def _fitted(self):
        if not hasattr(self, "run_"):
            raise _NotFitted(f"this {type(self).__name__} is not fitted yet: call fit first")

    def _table(self, action, X, *words):
        return self._ask(action, self._frame(X), *words)

    def _frame(self, X, fitting=False, optional=None):
        if not fitting:
            self._fitted()
        pandas = _frames.pandas()
        if hasattr(X, "columns"):
            frame = X.rename(columns=str)
        else:
            X = _checked(X)
            frame = pandas.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
        if not fitting and optional is None and frame.shape[1] != self.n_features_in_:
            raise ValueError(f"X has {frame.shape[1]} features, but {type(self).__name__} is expecting "
                             f"{self.n_features_in_} features as input")
        return frame

    def _ask(self, action, frame, *words, as_type=None):
        self._fitted()
        with tempfile.TemporaryDirectory(prefix="marginalia-") as folder:
            files = []
            if frame is not None:
                files = [str(pathlib.Path(folder) / "rows.csv")]
                _write(frame, pathlib.Path(files[0]))
            code, text = host().tool("table", [action, str(self.run_.folder), *files, *words], self.threads)
        if code != 0:
            raise RuntimeError(f"marginalia table {action} ended with {code}")
        return _frames.pandas().read_csv(io.BytesIO(text), keep_default_na=False, na_values=[""], dtype=as_type)

    def _rows(self, action, frame, *words):
        """Rows of the table, of its own types."""
        return _like(self._ask(action, frame, *words, as_type=str), self._types)

    def __getstate__(self):
        state = {key: value for key, value in self.__dict__.items() if key not in ("run_", "_own")}
        if hasattr(self, "run_"):
            state["packed"] = _pack(self.run_.folder)
        return state

    def __setstate__(self, state):
        packed = state.pop("packed", None)
        self.__dict__.update(state)
        if packed is not None:
            self._own = self._folder()
            self.run_ = Run(_unpack(packed, self._own), threads=self.threads)


def _checked(X):
    """An array of two axes, as scikit-learn's estimators want it."""
    if hasattr(X, "toarray"):
        raise TypeError("sparse data was passed, but dense data is required; use X.toarray()")
    X = numpy.asarray(X)
    if X.dtype.kind == "c":
        raise ValueError("Complex data not supported")
    if X.ndim != 2:
        raise ValueError(f"Expected 2D array, got {X.ndim}D array instead. Reshape your data either using array.reshape(-1, 1) "
                         "or array.reshape(1, -1)")
    if X.shape[0] == 0 or X.shape[1] == 0:
        raise ValueError(f"Found array with {X.shape[0]} sample(s) and {X.shape[1]} feature(s) (shape={X.shape}) while a "
                         "minimum of 1 is required.")
    if X.dtype.kind == "f" and numpy.isinf(X).any():
        raise ValueError("Input X contains infinity")
    return X


def _remove(folder, process):
    """Not by a process that was forked from the one that made it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _like(frame, types):
    """A frame of texts with the columns' types of the table that was learned."""
    pandas = _frames.pandas()
    for name, kind in types.items():
        if name not in frame:
            continue
        column = frame[name]
        if pandas.api.types.is_bool_dtype(kind):
            column = column.map({"True": True, "False": False})
        elif pandas.api.types.is_numeric_dtype(kind):
            column = pandas.to_numeric(column)
        elif pandas.api.types.is_datetime64_any_dtype(kind):
            column = pandas.to_datetime(column)
        if not (column.isna().any() and getattr(kind, "kind", "") in "iub"):
            column = column.astype(kind)
        frame[name] = column
    return frame


def _write(frame, file):
    frame.to_csv(file, index=False, na_rep="")


def _pack(folder):
    """A run, and the table that lies beside it, as bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in [folder.with_name(folder.name + ".csv"), *sorted(folder.rglob("*"))]:
            if file.is_file():
                archive.write(file, file.relative_to(folder.parent))
    return folder.name, packed.getvalue()


def _unpack(packed, into):
    name, content = packed
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(into)
    record = into / name / "run.json"
    content = json.loads(record.read_text())
    content["spec"]["dataset"]["file"] = str(into / f"{name}.csv")
    record.write_text(json.dumps(content))
    return into / name
