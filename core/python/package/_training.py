"""Runs being made: trained to the end, or with the loop in the user's hands."""
import dataclasses
import pathlib
import sys
import time

from . import _host
from ._process import alive, host
from ._runs import Run
from ._specs import new_run


class _Bar:
    """A line on stderr that says how far training is."""

    def __init__(self):
        self._begun, self._shown = time.monotonic(), 0

    def __call__(self, step, share, loss):
        now = time.monotonic()
        if now - self._shown < 0.2 and share < 1:
            return
        self._shown, done = now, int(30 * share)
        sys.stderr.write(f"\r{'#' * done}{'.' * (30 - done)} {share:4.0%}  step {step}  loss {loss:.5g}  "
                         f"{now - self._begun:.0f} s" + ("\n" if share >= 1 else ""))
        sys.stderr.flush()


def _progress(progress):
    return _Bar() if progress is True else progress or None


def run(spec, overrides=None, out=None, progress=None, say=None, force=False, device="", threads=0):
    """Trains and measures what a spec asks for. -> the run, opened.

    spec: a dict or a file; overrides: {"training.steps": 100}; out: its folder, else runs/STEM; progress: True for a bar, or
    a function of (step, share, loss), and say(text): called while it goes on. force: a folder that is there is renamed.
    Ctrl-C ends training with a checkpoint, `resume` goes on.
    """
    told = _host.run(host(), new_run(spec, overrides, out, force), device, threads, say, _progress(progress))
    return Run(told["folder"], device=device, threads=threads)


def resume(folder, progress=None, say=None, device="", threads=0):
    """Goes on from a run's newest checkpoint. -> the run, opened."""
    told = _host.resume(host(), pathlib.Path(folder), device, threads, say, _progress(progress))
    return Run(told["folder"], device=device, threads=threads)


@dataclasses.dataclass(frozen=True)
class Step:
    """One optimisation step. share: of the budget, 0 to 1; seconds: of training alone."""
    step: int
    loss: float
    share: float
    seconds: float
    passes: int
    energy_evaluations: int


class Training:
    """The steps of a run, one by one; `run` is it, measured, once they are over."""

    def __init__(self, loop, device, threads):
        self._loop, self._opened = loop, {"device": device, "threads": threads}
        self.run = None

    def __iter__(self):
        if self._loop is None:
            raise RuntimeError("this training is over; `resume` of its folder goes on with one that was left")
        alive()
        loop, self._loop = self._loop, None  # which holds the run's lock until it ends, or is left
        done = loop.state()["step"]
        try:
            while loop.advance() or loop.state()["step"] > done:
                done = loop.state()["step"]
                yield Step(**loop.state())
        except (GeneratorExit, KeyboardInterrupt):
            loop.end()  # with a checkpoint
            raise
        except BaseException:
            loop.leave()  # as the last checkpoint has it
            raise
        told = loop.end()
        if told["finished"]:
            self.run = Run(told["folder"], **self._opened)


def train(spec, overrides=None, out=None, say=None, force=False, device="", threads=0):
    """The loop in your hands:

        training = marginalia.train(spec)
        for step in training:
            if step.loss < 0.1: break     # leaves a checkpoint, from which `resume` goes on
        training.run                      # measured, where the loop came to the end of the budget

    Step by step it is what `run` does, bit for bit.
    """
    return Training(_host.Loop(host(), new_run(spec, overrides, out, force), device, threads, say), device, threads)
