"""Specs as people hand them over: dicts, with objects of Python in them, or files."""
import json
import os
import pathlib

import numpy

from . import _host
from ._process import host


def _plain(thing):
    """What JSON has no word for: an energy, dataset or model of Python as the component that names it, arrays as lists."""
    for kind in ("energy", "dataset", "family"):
        named = getattr(thing, kind, None)
        if isinstance(named, dict):
            return named
    if isinstance(thing, numpy.ndarray):
        return thing.tolist()
    if isinstance(thing, numpy.generic):
        return thing.item()
    if isinstance(thing, os.PathLike):
        return os.fspath(thing)
    raise TypeError(f"a spec holds JSON, and energies, datasets and models of Python; not {thing!r}")


def to_json(spec):
    return json.dumps(spec, default=_plain)


def read(spec):
    """-> the text of a spec, what messages call it, the folder beside which its files are."""
    if isinstance(spec, dict):
        spec = {"energy": spec} if "type" in spec else spec  # an energy alone, all that `exact` needs
        return to_json({"marginalia": 2, **spec}), "spec", pathlib.Path.cwd()
    named = getattr(spec, "energy", None)
    if isinstance(named, dict):
        return to_json({"marginalia": 2, "energy": named}), "spec", pathlib.Path.cwd()
    file = pathlib.Path(spec)
    return file.read_text(encoding="utf-8"), str(file), file.resolve().parent


def settings(overrides):
    """{"training.steps": 10} as settings of the command line."""
    if isinstance(overrides, (list, tuple)):
        return list(overrides)
    return [f"{key}={to_json(value)}" for key, value in (overrides or {}).items()]


def free(stem):
    """runs/STEM, or that with a number behind, whichever is free."""
    folder, number = pathlib.Path("runs") / stem, 1
    while folder.exists():
        number += 1
        folder = pathlib.Path("runs") / f"{stem}-{number}"
    return folder


def keep_or_write(file, text):
    """Writes a file that stands beside a folder of ours; one that is there already is not replaced."""
    if file.exists() and file.read_text(encoding="utf-8") != text:
        raise FileExistsError(f"{file} is there, and holds something else; choose another \"out\"")
    file.write_text(text, encoding="utf-8")


def new_run(spec, overrides, out, force):
    stem = pathlib.Path(spec).stem if isinstance(spec, (str, os.PathLike)) else "run"
    folder = pathlib.Path(out) if out is not None else free(stem)
    return _host.NewRun(*read(spec), settings(overrides), folder, force)


def check(spec, overrides=None):
    """The spec with every default filled in; raises SpecError with all that is wrong with it. Builds nothing, and runs no
    Python of a file that it names."""
    return host().check(*read(spec), settings(overrides))
