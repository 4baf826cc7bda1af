"""Reads each block of docs/formats.md by the reader that its info string names:  formats.py PAGE MARGINALIA_FUZZ"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path


def main():
    page, program = Path(sys.argv[1]), sys.argv[2]
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    faults = 0 if blocks else 1
    for name, text in blocks:
        name = "text" if name == "text_file" else name
        text = text.rstrip("\n") if name in ("smiles", "selfies") else text
        with tempfile.NamedTemporaryFile() as file:
            file.write(text.encode())
            file.flush()
            out = subprocess.run([program, "--format", name, file.name], capture_output=True, text=True).stdout
        if not out.endswith(": accepted\n"):
            faults += 1
            print(f"{page.name}: this block is no {name}: {out}{text}")
    print(f"{len(blocks)} blocks, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
