"""What the plugins offer, as functions that write their part of a spec: `marginalia.energies.ising(side=4)`."""
import inspect
import json
import keyword

from ._process import host


def _is_name(key):
    return key.isidentifier() and not keyword.iskeyword(key)


def _schemas(kind):
    """name -> the JSON Schema of its parameters."""
    found = {}
    for one in json.loads(host().schema())["$defs"][kind]["anyOf"]:
        name = one.get("properties", {}).get("type", {}).get("const")
        if name:
            found[name] = {key: value for key, value in one["properties"].items() if key != "type"}
    return found


def _function(kind, name, parameters):
    def component(**given):
        return {"type": name, **given}
    takes = [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=value.get("default"))
             for key, value in parameters.items() if _is_name(key)]
    component.__name__ = component.__qualname__ = name
    component.__module__ = f"marginalia.{kind}"
    component.__signature__ = inspect.Signature(takes)
    component.__doc__ = host().page(kind, name)
    return component


class Components:
    """The components of one kind. `help` of each shows its formula, its source and its parameters."""

    def __init__(self, kind):
        self._kind, self._made = kind, {}

    def _all(self):
        if not self._made:
            self._made = {name: _function(self._kind, name, parameters) for name, parameters in _schemas(self._kind).items()}
        return self._made

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._all():
            raise AttributeError(f"no {self._kind} \"{name}\"; there are {', '.join(sorted(self._all()))}")
        return self._all()[name]

    def __dir__(self):
        return sorted(self._all())

    def __repr__(self):
        return f"<marginalia components of kind {self._kind}: {', '.join(dir(self))}>"


KINDS = {"energy": "energies", "dataset": "datasets", "network": "networks", "family": "families", "metric": "metrics"}
energies, datasets, networks, families, metrics = (Components(kind) for kind in KINDS)
