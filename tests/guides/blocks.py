"""The code blocks of a guide, and what comments before them say of their test.

A block is fenced by ``` or indented by four blanks. A comment in the lines before it, which readers do not see,

  <!-- test: tolerance=0.2 file=spec.json slow -->

says how it is tested; KEYS names what may stand there. Values with blanks are quoted.
"""
import dataclasses
import re
import shlex

KEYS = {
    # What a block is.
    "file": "the block is the content of this file, written into the guide's folder",
    "output": "the block is what the commands before it print",
    "few": "settings added to each `marginalia run`, where what is shown takes hours; output cannot be compared",
    "instead": "run this command in place of the block",
    # How output is compared (compare.py).
    "tolerance": "relative, of each number; inf: only the form counts",
    "absolute": "difference of numbers that is always allowed",
    "tail": "only the last lines are shown",
    "stderr": "what goes to stderr is compared as well",
    "exit": "exit status of the commands, 0 where not named",
    # How a piece of a spec is checked (statics.py).
    "base": "the spec that the piece belongs to",
    "in": "the dotted key that the piece's members stand below",
    "as": "the dotted key that the whole piece stands for",
    # When it is run.
    "slow": "only in the slow test",
    "needs": "what must be there: data, pandas, python (the module), rdkit or torch; several with commas",
    "skip": "never run, why: network, cluster, gpu, hours",
    "all": "slow: every block of the guide from here on is",
}
REASONS = {"network", "cluster", "gpu", "hours"}
COMMENT = re.compile(r"<!-- test: (.*) -->\s*$")


@dataclasses.dataclass
class Block:
    line: int  # of its first line of code, from 1
    language: str  # as after the fence; "sh" of an indented block
    text: str
    says: dict  # of KEYS, to "" where a key has no value

    def number(self, key, default):
        return float(self.says.get(key, default))

    @property
    def kind(self):
        """"file", "output", "json", "console" or "commands"."""
        for kind in ("file", "output"):
            if kind in self.says:
                return kind
        kinds = {"sh": "commands", "json": "json", "console": "console", "text": "output"}
        if self.language not in kinds:
            raise ValueError(f"line {self.line}: a block of \"{self.language}\" needs file=NAME, or output")
        return kinds[self.language]


def read_comment(text, line):
    says = dict(word.partition("=")[::2] for word in shlex.split(text))
    for key in says:
        if key not in KEYS:
            raise ValueError(f"line {line}: \"{key}\" says nothing; known: {', '.join(KEYS)}")
    if says.get("skip", "network") not in REASONS:
        raise ValueError(f"line {line}: skip is one of {', '.join(sorted(REASONS))}")
    return says


def read_blocks(text):
    """The blocks of a Markdown text, in order."""
    lines, blocks, says, rest_is_slow = text.split("\n"), [], {}, False
    i, in_list = 0, False
    while i < len(lines):
        line = lines[i]
        comment, fence = COMMENT.match(line), re.match(r"```(\w*)\s*$", line)
        in_list &= not (comment or fence)
        indented = line.startswith("    ") and not in_list and (i == 0 or not lines[i - 1].strip()
                                                                or COMMENT.match(lines[i - 1]))
        if comment:
            says |= read_comment(comment[1], i + 1)
            rest_is_slow |= says.pop("all", "") == "slow"
        elif fence or indented:
            start = i + 1 if fence else i
            end = end_of_fenced(lines, start) if fence else end_of_indented(lines, start)
            body = [l if fence else l[4:] for l in lines[start:end]]
            if rest_is_slow:
                says["slow"] = ""
            blocks.append(Block(start + 1, fence[1] if fence else "sh", "\n".join(body).rstrip() + "\n", says))
            says, i = {}, end if fence else end - 1
        elif line.strip():
            in_list = bool(re.match(r"([-*]|\d+\.) ", line)) or (in_list and line.startswith("  "))
            if says:
                raise ValueError(f"line {i + 1}: no block follows the comment {says}")
        i += 1
    return blocks


def end_of_fenced(lines, start):
    for i in range(start, len(lines)):
        if lines[i].startswith("```"):
            return i
    raise ValueError(f"line {start}: the block does not end")


def end_of_indented(lines, start):
    """The line behind the last indented one; blank lines in between belong to the block."""
    end = start
    for i in range(start, len(lines)):
        if lines[i].startswith("    "):
            end = i + 1
        elif lines[i].strip():
            break
    return end
