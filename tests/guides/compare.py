"""Compares what a guide shows with what the commands printed.

Line by line, blanks counting once. Numbers may differ by the relative tolerance (0.05 unless the block says
otherwise) or by the absolute one (1e-9); everything else must be equal. Times differ from machine to machine: numbers
on a line that names seconds, and the values of JSON keys that do, only have to be there. A line "..." stands for any
number of lines, "..." in a line for any text. Lines that are JSON objects are compared key by key. With an infinite
tolerance only the form counts, as of samples: keys, lengths, kinds of values, and text but for its digits.
"""
import json
import math
import re

TOLERANCE, ABSOLUTE = 0.05, 1e-9
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.]*\w)")
TIMES = re.compile(r"seconds|\d s\b")


def close(shown, got, tolerance, absolute):
    if math.isinf(tolerance):
        return True
    if not (math.isfinite(shown) and math.isfinite(got)):
        return shown == got
    return abs(shown - got) <= max(absolute, tolerance * max(abs(shown), abs(got)))


def same_json(shown, got, tolerance, absolute):
    """Whether two values of JSON agree; keys that name seconds have to be there, with any number."""
    if isinstance(shown, dict) and isinstance(got, dict):
        return set(shown) == set(got) and all(
            "seconds" in key or same_json(shown[key], got[key], tolerance, absolute) for key in shown)
    if isinstance(shown, list) and isinstance(got, list):
        return len(shown) == len(got) and all(
            same_json(s, g, tolerance, absolute) for s, g in zip(shown, got))
    numbers = [isinstance(v, (int, float)) and not isinstance(v, bool) for v in (shown, got)]
    if math.isinf(tolerance) and isinstance(shown, str) and isinstance(got, str):
        shown, got = re.sub(r"\d", "0", shown), re.sub(r"\d", "0", got)
    if all(numbers):
        return close(shown, got, tolerance, absolute)
    return type(shown) is type(got) and shown == got


def same_text(shown, got, tolerance, absolute):
    """Whether two lines agree. Text between numbers is matched first, then the numbers one by one."""
    numbers, pattern, at = [], "", 0
    for match in NUMBER.finditer(shown):
        pattern += literal(shown[at:match.start()]) + f"({NUMBER.pattern})"
        numbers.append(float(match[0]))
        at = match.end()
    match = re.fullmatch(pattern + literal(shown[at:]), got)
    if not match:
        return False
    return bool(TIMES.search(shown)) or all(
        close(s, float(g), tolerance, absolute) for s, g in zip(numbers, match.groups()))


def literal(text):
    return ".*".join(re.escape(part) for part in text.split("..."))


def same_line(shown, got, tolerance, absolute):
    shown, got = " ".join(shown.split()), " ".join(got.split())
    if shown.startswith("{") and got.startswith("{"):
        try:
            return same_json(json.loads(shown), json.loads(got), tolerance, absolute)
        except ValueError:
            pass  # no JSON, or shortened
    return same_text(shown, got, tolerance, absolute)


def difference(shown, got, tolerance=TOLERANCE, absolute=ABSOLUTE, tail=False):
    """None where the printed text is what is shown, else a message with the first line that is not."""
    shown, got = ([line for line in text.split("\n") if line.strip()] for text in (shown, got))
    if tail:
        got = got[max(0, len(got) - len(shown)):]
    i = j = 0
    while i < len(shown):
        if shown[i].strip() == "...":
            i += 1
            if i == len(shown):
                return None
            while j < len(got) and not same_line(shown[i], got[j], tolerance, absolute):
                j += 1
        if j >= len(got):
            return f"shown, and not printed: {shown[i]}"
        if not same_line(shown[i], got[j], tolerance, absolute):
            return f"\n    shown:   {shown[i]}\n    printed: {got[j]}"
        i, j = i + 1, j + 1
    return None if j == len(got) else f"printed, and not shown: {got[j]}"
