"""The host of this process: made once, when it is first needed."""
import os
import pathlib
import threading


def _libraries():
    """The files of LibTorch that are mapped into this process."""
    with open("/proc/self/maps") as maps:
        return {line.split(maxsplit=5)[5].strip() for line in maps if "libtorch_cpu" in line}


_before = _libraries()
# What LibTorch and BLAS read when they are loaded; what is set already stays.
for _name, _value in {"OMP_WAIT_POLICY": "PASSIVE", "TORCH_CPP_LOG_LEVEL": "ERROR"}.items():
    os.environ.setdefault(_name, _value)

from . import _host  # noqa: E402

if len(_libraries()) > 1:
    raise ImportError("two LibTorch are in this process, and neither would work: " + " and ".join(sorted(_libraries())) +
                      "; use the PyTorch that marginalia was built with, or build it with yours")

Error, SpecError, ImpossibleGiven = _host.Error, _host.SpecError, _host.ImpossibleGiven
for _error in (Error, SpecError, ImpossibleGiven):
    _error.__module__ = "marginalia"

_lock = threading.Lock()
_made = None


def host():
    """The host, with all plugins that are found beside the program and in $MARGINALIA_PLUGINS."""
    global _made
    with _lock:
        if _made is None:
            _made = _host.Host(pathlib.Path(_host.__file__).resolve(), [], None)
        return _made


def doctor():
    """What this process runs on, and what is wrong with it: a dict."""
    return {"libtorch": sorted(_libraries()), "torch_was_loaded": bool(_before), "plugins": sorted(host().plugins),
            "refused": list(host().refused),
            "environment": {name: os.environ.get(name) for name in ("OMP_WAIT_POLICY", "OPENBLAS_CORETYPE", "OMP_NUM_THREADS")}}


