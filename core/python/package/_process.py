"""The host of this process: made once, when it is first needed."""
import os
import pathlib
import threading


def _libraries():
    """The files of LibTorch that are mapped into this process."""
    with open("/proc/self/maps") as maps:
        return {line.split(maxsplit=5)[5].strip() for line in maps if "libtorch_cpu" in line}


def _kernels():
    """The kernels of OpenBLAS for this processor, which it knows by its number alone: as the program chooses them."""
    with open("/proc/cpuinfo") as told:
        flags = next((set(line.split(":")[1].split()) for line in told if line.startswith("flags")), set())
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags and \
            os.environ.get("MARGINALIA_MAX_CPU_ISA", "").lower() != "avx2":
        return "SkylakeX"
    return "Haswell" if {"avx2", "fma"} <= flags else None


def _mapped(name):
    with open("/proc/self/maps") as maps:
        return any(name in line for line in maps)


_before = _libraries()
# What LibTorch, OpenMP and BLAS read when they are loaded, and whether one of them is already; what is set stays.
_wanted = {"OMP_WAIT_POLICY": ("PASSIVE", "libgomp"), "TORCH_CPP_LOG_LEVEL": ("ERROR", "libtorch_cpu"),
           "OPENBLAS_CORETYPE": (_kernels(), "openblas")}
_late = [f"{name}={value}" for name, (value, library) in _wanted.items()
         if value and name not in os.environ and _mapped(library)]
for _name, (_value, _) in _wanted.items():
    if _value:
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
_forked = False


def _in_child():
    global _forked, _lock
    _forked, _lock = _made is not None, threading.Lock()


os.register_at_fork(after_in_child=_in_child)


def alive():
    """Refuses a process that was forked from one with a host: LibTorch's threads are not in it, and waiting for them would
    never end."""
    if _forked:
        raise Error("this process was forked after marginalia had been used, and its threads did not come along; start it "
                    "otherwise: multiprocessing.get_context(\"spawn\"), or fork before the first use")


def host():
    """The host, with all plugins that are found beside the program and in $MARGINALIA_PLUGINS."""
    global _made
    alive()
    with _lock:
        if _made is None:
            _made = _host.Host(pathlib.Path(_host.__file__).resolve(), [], None)
        return _made


def doctor():
    """What this process runs on, and what is wrong with it: a dict. cannot_be_set: what LibTorch read before marginalia was
    imported, with what it should be."""
    return {"libtorch": sorted(_libraries()), "torch_was_loaded": bool(_before), "plugins": sorted(host().plugins),
            "refused": list(host().refused),
            "environment": {name: os.environ.get(name) for name in ("OMP_WAIT_POLICY", "OPENBLAS_CORETYPE", "OMP_NUM_THREADS")},
            "cannot_be_set": [f"{one}: set it before Python starts, or import marginalia before numpy and torch"
                              for one in _late]}
