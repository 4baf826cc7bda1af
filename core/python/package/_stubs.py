"""python3 -m marginalia._stubs FILE: writes what editors know of the components, from their declarations."""
import pathlib
import sys

from ._components import KINDS, _is_name, _schemas


def stubs():
    """The text of a stub file: a class a kind, with the parameters of each component."""
    lines = ["from typing import Any", ""]
    words = {"integer": "int", "number": "float", "boolean": "bool", "string": "str", "array": "list", "object": "dict"}
    for kind, name in KINDS.items():
        lines += ["", f"class _{kind.capitalize()}:"]
        for component, parameters in sorted(_schemas(kind).items()):
            takes = "".join(f", {key}: {words.get(value.get('type'), 'Any')} = ..." for key, value in parameters.items()
                            if _is_name(key))
            star = ", *" if takes else ""
            lines += ["    @staticmethod", f"    def {component}({(star + takes)[2:]}) -> dict: ..."]
        lines += [f"{name}: _{kind.capitalize()}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    pathlib.Path(sys.argv[1]).write_text(stubs())
