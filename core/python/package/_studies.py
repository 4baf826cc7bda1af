"""Studies, and what runs there are."""
import json
import pathlib

from . import _frames, _host, _specs
from ._process import host
from ._runs import Run
from ._specs import keep_or_write


class Study:
    """A study that was run: `marginalia.study` runs one, `Study(FOLDER)` opens one."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        if not (self.folder / "study.json").exists():
            raise FileNotFoundError(f"{self.folder} holds no study.json: it is no study")

    def __repr__(self):
        return f"<marginalia.Study {self.folder}: {len(self.experiments)} experiments>"

    @property
    def experiments(self):
        """Their names."""
        return [one["name"] for one in json.loads((self.folder / "study.json").read_text(encoding="utf-8"))["experiments"]]

    def table(self):
        """The comparison, a row a model and column: mean, stderr, status, difference from the baseline, p: a frame."""
        return _frames.pandas().read_csv(self.folder / "comparison.csv")

    def run(self, name):
        """The run of one experiment, opened."""
        return Run(self.folder / "runs" / name)

    def report(self):
        """The page of the comparison."""
        return self.folder / "report.html"

    def _repr_html_(self):
        return self.table()._repr_html_()


def study(manifest, out=None, only=(), jobs=1, threads=0, say=None):
    """Runs the experiments of a manifest that are not finished, and compares them. -> the study.

    manifest: a file, or a dict, which is kept beside `out`, as OUT.json, where the files that it names are looked for; jobs:
    experiments at a time, each on a thread of its own; 1 where one is of Python, whose functions are called by one thread alone.
    """
    if isinstance(manifest, dict):
        folder = pathlib.Path(out) if out is not None else _specs.free("study")
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = folder.with_name(folder.name + ".json")
        keep_or_write(file, _specs.to_json(manifest))
    else:
        file = pathlib.Path(manifest)
        folder = pathlib.Path(out) if out is not None else _specs.free(file.stem)
    told = _host.study(host(), file, folder, list(only), jobs, threads, say)
    if told["failed"]:
        raise _host.Error(f"{told['failed']} experiments of {folder} failed: see runs/NAME/log.txt in it")
    return Study(folder)


def _matches(record, where):
    if callable(where):
        return where(record)
    for key, wanted in where.items():
        at = record["spec"]
        for word in key.split("."):
            at = at.get(word) if isinstance(at, dict) else None
        if at != wanted:
            return False
    return True


def runs(folder="runs", where=None):
    """What runs there are below a folder, a row each: a frame of their type, status and what was measured.

    where: {"family.type": "mam"}, or a function of run.json.
    """
    rows = []
    for file in sorted(pathlib.Path(folder).rglob("run.json")):
        record = json.loads(file.read_text(encoding="utf-8"))
        if where is not None and not _matches(record, where):
            continue
        row = {"folder": str(file.parent), "family": record["spec"]["family"]["type"], "status": record.get("status"),
               "steps": record.get("steps"), "seed": record["spec"].get("seed")}
        evaluation = file.parent / "evaluation.json"
        if evaluation.exists():
            row.update(_frames.results(json.loads(evaluation.read_text(encoding="utf-8"))))
        rows.append(row)
    return _frames.pandas().DataFrame(rows)
