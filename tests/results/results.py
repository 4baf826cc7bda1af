"""docs/results.md is what its script writes from the table of measurements, and what is no evidence is refused."""

import hashlib
import json
import pathlib
import sys
import tempfile
import types
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs/results"))

import add  # noqa: E402
import write  # noqa: E402

COMMITS = write.history()
TEMPLATE = "# Page\n\n## First\n\n{table a | what\nA caption:}\n\nProse.\n\n## Unverified\n\nThe rest.\n"
SPEC = "experiments/ising/smoke.json"


def row(**fields):
    return {**dict.fromkeys(write.COLUMNS, ""), "table": "a", "row": "r", "column": "c", "claim": "q", "value": "1", **fields}


class TheTree(unittest.TestCase):
    def test_table_and_page_agree_and_have_no_faults(self):
        if COMMITS is None:
            print("commits are not looked for: no history here, or only its end", file=sys.stderr)
        rows, template = write.read(), write.TEMPLATE.read_text(encoding="utf-8")
        self.assertEqual(write.faults(rows, template, COMMITS), [])
        self.assertEqual(write.PAGE.read_text(encoding="utf-8"), write.page(rows, template))
        self.assertGreater(len(rows), 900)


class Faults(unittest.TestCase):
    def refused(self, words, *rows, commits=("a" * 40,)):
        found = write.faults(list(rows), TEMPLATE, commits)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_a_good_table_has_none(self):
        good = [row(), row(claim="p", commit="aaaaaaa", command="make"), row(claim="n", value="", text="exact")]
        self.assertEqual(write.faults(good, TEMPLATE, ["a" * 40]), [])

    def test_commits(self):
        self.refused("is not clean", row(commit="aaaaaaa-dirty", command="make"))
        self.refused("is no commit", row(commit="main", command="make"))
        self.refused("is not in the history", row(commit="bbbbbbb", command="make"))
        self.refused("a commit, and no command", row(commit="aaaaaaa"))
        self.refused("words on one that is not", row(commit="aaaaaaa", command="make", recorded="a trial"))
        unknown = row(commit="bbbbbbb", command="make")
        self.assertEqual(write.faults([unknown], TEMPLATE, None), [])  # no history to look in

    def test_keys_and_numbers(self):
        self.refused("stands there already", row(), row(value="2"))
        self.refused("is not a number", row(value="about 1"))
        self.refused("is not a number", row(text="about"))
        self.refused("neither a value nor words", row(value=""))
        self.refused("is no standard error", row(stderr="small"))
        self.refused("table b has no place", row(), row(table="b"))

    def test_columns(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "t.csv"
            for columns in (write.COLUMNS + ["mood"], write.COLUMNS[:-1]):
                path.write_text(",".join(columns) + "\n")
                self.assertRaisesRegex(ValueError, "unknown or missing columns: (mood|source)", write.read, path)

    @unittest.skipIf(COMMITS is None, "no history here, or only its end")
    def test_digest_of_the_spec(self):
        head, command = COMMITS[0][:7], f"marginalia run {SPEC}"
        there = row(commit=head, command=command, spec_sha256=write.digest(head, command))
        self.assertEqual(write.faults([there], TEMPLATE, COMMITS), [])
        self.assertEqual(len(there["spec_sha256"]), 64)
        self.refused("spec_sha256 is not that of", {**there, "spec_sha256": "0" * 64}, commits=COMMITS)


class Page(unittest.TestCase):
    def test_verified_and_unverified_numbers_stand_apart(self):
        rows = [row(commit="aaaaaaa", command="make x", precision="float32", target="2"),
                row(column="d", value="3", stderr="0.5", recorded="a trial", command="make y"),
                row(column="e", value="4", source="Someone (2020)")]
        first, rest = write.page(rows, TEMPLATE).split("## Unverified")
        self.assertIn("    make x\n\n| what | target | c | e |\n| --- | --- | --- | --- |\n| r | 2 | 1 | 4 |\n", first)
        self.assertIn("Measured at aaaaaaa (float32).\n\nPublished: Someone (2020).\n\nProse.", first)
        self.assertIn("### First\n\nA caption:\n\n    make y\n\n| what | d | e |", rest)
        self.assertIn("| r | 3 +- 0.5 | 4 |\n\nRecorded: a trial.", rest)
        self.assertNotIn("Prose.", rest)

    def test_which_commit_is_whose(self):
        groups = {}
        for r, c, commit in (("x", "c", 1), ("y", "c", 1), ("x", "d", 2), ("x", "e", 2), ("y", "d", 3), ("y", "e", 1)):
            groups.setdefault(commit, []).append(row(row=r, column=c))
        self.assertEqual(write.extents(groups.values()), ["c; y: e", "x", "y: d"])

    def test_a_section_without_a_verified_number_is_unverified_as_a_whole(self):
        first, rest = write.page([row()], TEMPLATE).split("## Unverified")
        self.assertNotIn("First", first)
        self.assertIn("Prose.", rest)


@unittest.skipIf(COMMITS is None, "no history here, or only its end")
class Adding(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.run_folder = pathlib.Path(self.place.name)
        note = json.loads(write.git("show", f"{COMMITS[0]}:{SPEC}"))["note"]
        evaluation = {"metrics": {
            "log_z": {"learned": {"value": 2.5, "unit": "nats"}, "exact": {"value": 2.25, "unit": "nats"}},
            "error": {"chain": {"value": 0.012351, "stderr": 0.00067, "unit": "nats", "samples": 50,
                                "by_size": [{"size": 10, "rms": 0.25}]}}}}
        self.record = {"status": "finished", "commit": COMMITS[0][:7], "processor": "AVX2", "threads": 1,
                       "overrides": ["energy.side=3", "evaluation.metrics=[]"], "train_seconds": 12.345678,
                       "precision": {"training": {"used": "float32"}}, "spec": {"seed": 1, "note": note, "rate": 1e-08}}
        self.record["spec_sha256"] = hashlib.sha256(b'{"rate":1e-08,"seed":1}').hexdigest()
        self.write("evaluation.json", evaluation)
        self.record["evaluation_sha256"] = hashlib.sha256((self.run_folder / "evaluation.json").read_bytes()).hexdigest()

    def write(self, name, content):
        (self.run_folder / name).write_text(json.dumps(content))

    def read(self, **changes):
        self.write("run.json", {**self.record, **changes})
        return add.read_record(self.run_folder, COMMITS)

    def row(self, part, **options):
        args = types.SimpleNamespace(**{**dict(run="RUN", spec=SPEC, table="a", row="", column="c", decimals=None, name=""), **options})
        return add.row_of(part, "r", args, *self.read())

    def test_a_number_comes_with_its_record(self):
        got = self.row("error/chain")
        command = f"marginalia run {SPEC} energy.side=3 'evaluation.metrics=[]' --threads 1"
        want = {"table": "a", "row": "r", "column": "c", "claim": "error/chain", "command": command,
                "commit": COMMITS[0][:7], "processor": "AVX2", "precision": "float32", "value": "0.01235",
                "stderr": "0.00067", "unit": "nats"}
        self.assertEqual({k: v for k, v in got.items() if v and k != "spec_sha256"}, want)
        self.assertEqual(write.faults([got], TEMPLATE, COMMITS), [])

    def test_paths(self):
        self.assertEqual(self.row("log_z/learned - log_z/exact")["value"], "0.25")
        self.assertEqual(self.row("error/chain/by_size/10/rms")["value"], "0.25")
        self.assertEqual(self.row("run/train_seconds")["value"], "12.35")
        self.assertEqual([self.row("error/chain/samples")[c] for c in ("value", "unit")], ["50", ""])
        self.assertEqual(self.row("-log_z/learned - log_z/exact")["value"], "-0.25")
        long = self.row("-error/chain", decimals=4, name="3")
        self.assertEqual((long["value"], long["stderr"]), ("-0.0124", "0.0007"))
        self.assertIn(" energy.side=NAME 'evaluation.metrics=[]' ", long["command"])
        self.assertRaisesRegex(add.Refused, "no such number", self.row, "error/one_pass")
        with self.assertRaisesRegex(add.Refused, "was not run from"):
            self.row("error/chain", spec="experiments/ising/any_order.json")

    def test_errors_have_two_digits(self):
        self.assertEqual(add.shown(0.5, 0.0000123), ("0.500000", "0.000012"))
        self.assertEqual(add.shown(-7.24, 1.0), ("-7.2", "1.0"))
        self.assertEqual(add.shown(1234.6, 120.0), ("1235", "120"))
        self.assertEqual(add.shown(1600, None), ("1600", ""))

    def test_what_is_no_evidence_is_refused(self):
        for words, changes in (("is not finished", {"status": "interrupted"}),
                               ("uncommitted changes", {"commit": COMMITS[0][:7] + "-dirty"}),
                               ("not in the history", {"commit": "0" * 7}),
                               ("names no commit", {"commit": ""}),
                               ("resumed at", {"resumed_at": "1234567-dirty"}),
                               ("the spec in run.json", {"spec": {**self.record["spec"], "seed": 2}}),
                               ("evaluation.json is not", {"evaluation_sha256": "0" * 64}),
                               ("the processor", {"processor": ""})):
            with self.subTest(words):
                self.assertRaisesRegex(add.Refused, words, self.read, **changes)
        self.read()
        self.write("evaluation.json", {"metrics": {}})
        self.assertRaisesRegex(add.Refused, "evaluation.json is not", self.read)

    def test_a_verified_number_takes_the_place_of_an_unverified_one(self):
        rows = [row(row="above"), row(target="9", claim="mine"), row(claim="second"), row(row="below")]
        add.insert(rows, self.row("error/chain"), False)
        self.assertEqual([r["row"] for r in rows], ["above", "r", "below"])
        self.assertEqual((rows[1]["claim"], rows[1]["target"], rows[1]["stderr"]), ("mine", "9", "0.00067"))
        self.assertRaisesRegex(add.Refused, "verified already", add.insert, rows, self.row("error/chain"), False)
        add.insert(rows, self.row("log_z/exact"), True)
        self.assertEqual((len(rows), rows[1]["value"]), (3, "2.25"))


if __name__ == "__main__":
    unittest.main()
