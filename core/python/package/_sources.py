"""What a spec's {"type": "python"} names: defined in this process, or in a file."""
import hashlib
import importlib.util
import inspect
import json
import pathlib
import sys

import numpy

_defined = {}
_files = {}


def digest(word, *content):
    """A name for what is made of numbers: equal content has equal names, in every process."""
    sha = hashlib.sha256()
    for one in content:
        sha.update(numpy.ascontiguousarray(one).tobytes() + b";")
    return f"{word}-{sha.hexdigest()[:12]}"


def free(kind, function):
    """MODULE.NAME; with a number behind it, where that is another function: one made in a function, or a lambda. A function
    of a module that is defined anew takes the place of the old one."""
    name = f"{function.__module__}.{function.__qualname__}"
    if "<" not in name.replace("<module>", ""):
        return name
    count, called = 1, name
    while (kind, called) in _defined:
        count += 1
        called = f"{name}-{count}"
    return called


def define(kind, name, thing):
    """Makes `thing` known to specs of this process. -> the component of a spec that names it."""
    _defined[kind, name] = thing
    return {"type": "python", "name": name}


def find(file, name, parameters, kind, offered):
    """What the host asks for. offered: keyword arguments beside the parameters, for a function that takes them. Raises
    LookupError, TypeError, or what the file itself raises."""
    given = json.loads(parameters)
    if not file:
        if (kind, name) not in _defined:
            known = ", ".join(sorted(n for k, n in _defined if k == kind)) or "none"
            raise LookupError(f'no {kind} "{name}" is defined in this process (defined: {known}); '
                              f'say "file" for one that is written in a file')
        return _made(_defined[kind, name], given, offered, name, kind)
    module = _load(file)
    if not hasattr(module, name):
        raise LookupError(f'{file} defines no "{name}"')
    return _made(getattr(module, name), given, offered, f"{file}: {name}", kind)


def _load(file):
    """The module that a file is, run once as long as it does not change; its folder is looked in for what it imports."""
    file = pathlib.Path(file).resolve()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    if _files.get(file, (None,))[0] == digest:
        return _files[file][1]
    spec = importlib.util.spec_from_file_location(f"marginalia_file_{digest}", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{file} imports {error.name}, which the Python of {sys.prefix} has not; install it there, "
                                  "or set VIRTUAL_ENV to an environment that has it") from error
    _files[file] = digest, module
    return module


def _made(thing, given, offered, where, kind):
    """What the host takes: the object itself, what a function of the parameters returns, or a function with them."""
    component = getattr(thing, "component", None)
    if component is None and callable(thing):
        takes = inspect.signature(thing)
        given = {**{key: value for key, value in offered.items() if key in takes.parameters}, **given}
        try:
            takes.bind(**given)
        except TypeError as error:
            raise TypeError(f"{where} is called with the parameters {given}: {error}") from None
        made = thing(**given)
        component = getattr(made, "component", None)
        given = {}
        if component is None:
            raise TypeError(f"{where} returned {made!r}; it must return what marginalia.log_density, Pairwise, Factors, "
                            "Dataset or Sampler makes")
    if component is None or component.kind != kind:
        raise TypeError(f"{where} is {thing!r}, and no {kind}")
    return component.with_parameters(given, where) if given else component
