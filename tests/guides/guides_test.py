"""That the guides' test sees what it should: blocks, differences, calls."""
import unittest

from blocks import read_blocks
from compare import difference
from references import CITED, read_entries, surnames
from statics import alternatives, calls, read_pieces

GUIDE = """# A guide

    marginalia run a.json

<!-- test: output tolerance=0.2 -->
```text
log_z 12.6
```

- a list
    that goes on

<!-- test: all=slow file=b.py -->
```python
x = 1

y = 2
```

    one

    two
"""


class Blocks(unittest.TestCase):
    def test_kinds_and_marks(self):
        blocks = read_blocks(GUIDE)
        self.assertEqual([b.kind for b in blocks], ["commands", "output", "file", "commands"])
        self.assertEqual(blocks[0].text, "marginalia run a.json\n")
        self.assertEqual(blocks[1].number("tolerance", 0.05), 0.2)
        self.assertEqual(blocks[2].text, "x = 1\n\ny = 2\n")
        self.assertEqual(blocks[3].text, "one\n\ntwo\n")
        self.assertEqual(["slow" in b.says for b in blocks], [False, False, True, True])

    def test_what_is_refused(self):
        for text in ("<!-- test: nonsense -->\n    a\n", "<!-- test: skip=mood -->\n    a\n",
                     "<!-- test: slow -->\n\nno block\n", "```text\nno end\n"):
            with self.assertRaises(ValueError):
                read_blocks(text)
        with self.assertRaises(ValueError):
            read_blocks("```cpp\nint x;\n```\n")[0].kind


class Differences(unittest.TestCase):
    def agree(self, shown, got, **how):
        self.assertIsNone(difference(shown, got, **how), f"{shown!r} and {got!r}")

    def differ(self, shown, got, **how):
        self.assertIsNotNone(difference(shown, got, **how), f"{shown!r} and {got!r}")

    def test_numbers(self):
        self.agree("log_z  12.60 nats", "log_z 12.1 nats")
        self.differ("log_z 12.6 nats", "log_z 11.9 nats")
        self.agree("log_z 12.6 nats", "log_z 11.9 nats", tolerance=0.1)
        self.differ("log_z 12.6 nats", "log_z -12.6 nats")
        self.agree("kl 1e-4", "kl -2e-4", absolute=1e-3)
        self.differ("a10 1", "a11 1")  # part of a name
        self.differ("12.6 nats", "12.6 bits")
        self.agree("took 3 seconds", "took 70 seconds")
        self.agree("finished in 3.1 s", "finished in 9 s")
        self.differ("took 3 seconds", "took long, in seconds")
        self.differ("Student's t of 3", "Student's t of 4")

    def test_lines(self):
        self.agree("a\n...\nd", "a\nb\nc\nd")
        self.agree("a\n...", "a\nb\nc")
        self.differ("a\n...\nd", "a\nb\nc")
        self.differ("a", "a\nb")
        self.differ("a\nb", "a")
        self.agree("b\nc", "a\nb\nc", tail=True)
        self.agree("file ...name.json 5", "file /tmp/name.json 5")

    def test_json(self):
        self.agree('{"p": [0.5, 0.1], "seconds": 3}', '{"seconds": 9, "p": [0.51, 0.1]}')
        self.differ('{"p": 0.5}', '{"p": 0.5, "q": 1}')
        self.differ('{"p": 0.5}', '{"p": null}')
        self.differ('{"p": true}', '{"p": 1}')

    def test_form(self):
        inf = float("inf")
        self.agree('{"x": [0, 1], "text": "01", "log_prob": -1}', '{"x": [1, 1], "text": "11", "log_prob": -9}',
                   tolerance=inf)
        self.differ('{"x": [0, 1]}', '{"x": [1]}', tolerance=inf)
        self.differ('{"text": "01"}', '{"text": "0/1"}', tolerance=inf)
        self.differ("step 1 of 2", "step 1 in 2", tolerance=inf)


class Statics(unittest.TestCase):
    def test_calls(self):
        text = "A=1 marginalia run a.json x=1 | sort > f && make demo  # why\n"
        self.assertEqual([*calls(text)][:2], [["marginalia", "run", "a.json", "x=1"], ["sort"]])
        self.assertIn(["make", "demo"], [*calls(text)])

    def test_pieces(self):
        pieces = read_pieces('"a": 1, "b": [2]\n"a": {"c": 3}')
        self.assertEqual([*alternatives(pieces)], [[("a", 1), ("b", [2])], [("a", {"c": 3})]])
        self.assertEqual(read_pieces('{"d": 4}'), [(None, {"d": 4})])


class References(unittest.TestCase):
    def test_entries(self):
        good = "@misc{a2001b, author={van den Berg, J. and Gr{\\\"o}tschel, M.}, title={T {X}}, year={2001}}\n"
        entries, faults = read_entries(good)
        self.assertEqual(faults, [])
        self.assertEqual(surnames(entries["a2001b"]), {"Berg", "Grotschel", "Groetschel"})
        self.assertEqual(read_entries(good + good)[1], ["a2001b stands twice"])
        self.assertEqual(read_entries("@misc{a, title={T}, year={1}}\n")[1], ["a has no author"])

    def test_citations(self):
        self.assertEqual(CITED.findall("as Wu, Wang and Zhang (2019), arXiv:1809.10606; (Ba et al. 2015)."),
                         [("Zhang", "2019", "arXiv:1809.10606"), ("Ba", "2015", "")])


if __name__ == "__main__":
    unittest.main()
