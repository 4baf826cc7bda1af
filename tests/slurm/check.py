#!/usr/bin/env python3
"""Studies and runs on a real SLURM: that of cluster.py, of this machine alone, with arrays of at most three tasks.

  /usr/bin/python3 tests/slurm/check.py --program build/release/bin/marginalia [OnSlurm.test_... ...]

Exit status 77 where a program of SLURM is missing.
"""
import argparse
import itertools
import json
import os
import pathlib
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import unittest

import cluster as slurm

MOST_TASKS = 3
PATIENCE = 900  # seconds; the machine may be busy

# Set by main.
program = None
cluster = None


def write_rows(file):
    """400 rows of six bits, each bit the one before with probability 0.8."""
    draw = random.Random(3)
    lines = []
    for _ in range(400):
        bits = [draw.randrange(2)]
        while len(bits) < 6:
            bits.append(bits[-1] if draw.random() < 0.8 else 1 - bits[-1])
        lines.append(",".join(map(str, bits)) + "\n")
    file.write_text("".join(lines))


def parameters(run):
    """-> the bytes of all tensors of its last checkpoint: parameters, optimiser, streams."""
    data = (run / "checkpoints/last.safetensors").read_bytes()
    return data[8 + int.from_bytes(data[:8], "little"):]


def without_seconds(value):
    """JSON without what an unbroken run may have otherwise."""
    if isinstance(value, dict):
        return {k: without_seconds(v) for k, v in value.items() if "seconds" not in k}
    return [without_seconds(v) for v in value] if isinstance(value, list) else value


def read_json(file):
    return json.loads(file.read_text())


def lines_of_metrics(run):
    file = run / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def figures(run):
    """What a run has measured, on the way and at its end, and what it learned."""
    return {"metrics": without_seconds(lines_of_metrics(run)),
            "evaluation": without_seconds(read_json(run / "evaluation.json")),
            "parameters": parameters(run)}


def processes(*words):
    """-> those whose command line has all of the words, but for this one."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if all(word in command for word in words) and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def fields(job):
    """What SLURM knows of a job or an array's task: JobState, ExitCode, Restarts ..."""
    text = cluster.call("scontrol", "--oneliner", "show", "job", job).splitlines()[0]
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


def known_jobs():
    return cluster.call("squeue", "--noheader", "--array", "--states=all", "--format=%i").split()


class OnSlurm(unittest.TestCase):
    maxDiff = 2000

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='on "slurm" %A ')
        self.addCleanup(folder.cleanup)
        self.addCleanup(self.end_jobs)
        self.folder = pathlib.Path(folder.name)
        self.out = self.folder / "out"
        write_rows(self.folder / "rows.txt")

    def end_jobs(self):
        if jobs := cluster.unended():
            cluster.call("scancel", "--full", "--signal=KILL", *jobs, check=False)
            cluster.call("scancel", *jobs, check=False)
            self.wait("the jobs to end", lambda: not cluster.unended())

    def wait(self, for_what, condition):
        self.assertTrue(slurm.comes_about(condition, PATIENCE), f"waited in vain for {for_what}")

    def spec(self, **training):
        """Ten seconds of training. Steps of a quarter second: two signals that follow each other fall into one."""
        rows = str(self.folder / "rows.txt")
        return {"marginalia": 2, "seed": 1,
                "dataset": {"type": "table", "train": rows, "valid": rows, "test": rows},
                "network": {"type": "mlp", "hidden": 512}, "family": {"type": "any_order_arm"},
                "training": {"steps": 40, "batch_size": 2000, "log_every_steps": 1, "precision": "float32",
                             "checkpoint": {"every_steps": 0}, **training},
                "evaluation": {"rows": 50, "samples": 4, "metrics": ["nll"]}}

    def write_study(self, base, variants, seeds=1):
        manifest = {"marginalia_study": 2, "base": base, "variants": variants, "seeds": seeds}
        (self.folder / "s.json").write_text(json.dumps(manifest))

    def call(self, *words, code=0):
        """This program. -> what it says on stdout, on stderr."""
        done = subprocess.run([program, *map(str, words)], cwd=self.folder, env=cluster.environment, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout, done.stderr

    def submit(self, *options):
        """-> the ids of the arrays."""
        return self.call("study", "s.json", "--out", self.out, "--launcher", "slurm", "--threads", 1, *options)[0].split()

    def wait_for_all(self):
        self.wait("the jobs to end", lambda: not cluster.unended())

    def wait_for_training(self, run):
        """Until it has lines of metrics, and is not over."""
        self.wait(f"{run} to train", lambda: len(lines_of_metrics(run)) > 2)
        self.assertEqual(read_json(run / "run.json")["status"], "running", "is over already: more steps are needed")

    def unbroken(self, *names):
        """-> figures of the study's experiments, run here one after the other."""
        self.call("study", "s.json", "--out", self.folder / "whole", "--threads", 1, "--precision", "float32")
        return [figures(self.folder / "whole/runs" / name) for name in names]

    def step_resumed_from(self, run):
        """Of the last time."""
        last = [line for line in (run / "log.txt").read_text().splitlines() if "resumed from" in line][-1]
        self.assertIn("step_", last, "went on from the start: nothing was kept")
        return int(last.split("step_")[1].split(".")[0])

    def shell_job(self, *lines, options=()):
        """A job of a script.  -> its id."""
        script = self.folder / "script.sh"
        script.write_text("\n".join(("#!/bin/bash", f"cd {shlex.quote(str(self.folder))}", *lines, "")))
        output = str(self.folder / "job.txt").replace("%", "%%")
        return cluster.call("sbatch", "--parsable", "--open-mode=append", f"--output={output}", *options,
                            str(script)).strip()

    def test_an_array_killed_and_cancelled_is_resumed_to_the_same_figures(self):
        names = "checkpoints-seed0", "none-seed0"
        self.write_study(self.spec(), {"checkpoints": {"training.checkpoint.every_steps": 2}, "none": {}})
        array, = self.submit()
        runs = [self.out / "runs" / name for name in names]
        for run in runs:
            self.wait_for_training(run)
        killed, = processes("run", str(runs[0]))
        os.kill(killed, signal.SIGKILL)
        cluster.call("scancel", f"{array}_1")
        self.wait_for_all()
        self.assertEqual([fields(f"{array}_{i}")["JobState"] for i in (0, 1)], ["FAILED", "CANCELLED"])
        self.assertEqual(fields(f"{array}_0")["ExitCode"], "1:0")
        self.assertIn("killed by signal 9", (self.out / f"slurm/{array}_0.txt").read_text())
        self.assertEqual([read_json(run / "run.json")["status"] for run in runs], ["running", "interrupted"])
        again, = self.submit()
        self.wait_for_all()
        self.assertEqual([fields(f"{again}_{i}")["JobState"] for i in (0, 1)], 2 * ["COMPLETED"])
        for run, whole in zip(runs, self.unbroken(*names)):
            self.assertGreater(self.step_resumed_from(run), 0)
            self.assertEqual(figures(run), whole)
        self.assertIn("nothing to submit", self.call("study", "s.json", "--out", self.out, "--launcher", "slurm")[1])

    def test_a_task_requeued_keeps_a_checkpoint_and_goes_on(self):
        self.write_study(self.spec(), {"only": {}})
        array, = self.submit()
        run = self.out / "runs/only-seed0"
        self.wait_for_training(run)
        cluster.call("scontrol", "requeue", f"{array}_0")
        self.wait_for_all()
        self.assertEqual({k: fields(f"{array}_0")[k] for k in ("JobState", "Restarts")},
                         {"JobState": "COMPLETED", "Restarts": "1"})
        self.assertGreater(self.step_resumed_from(run), 0)
        self.assertEqual(figures(run), self.unbroken("only-seed0")[0])
        self.assertIn("interrupted", (self.out / f"slurm/{array}_0.txt").read_text())
        self.assertTrue((self.out / "comparison.json").exists())

    def write_spec(self, **training):
        (self.folder / "s.json").write_text(json.dumps(self.spec(**training)))

    def ranks(self, run):
        return read_json(self.folder / run / "run.json").get("ranks", 1)

    def test_two_tasks_of_a_step_are_ranks_with_the_figures_of_one_process(self):
        self.write_spec(steps=20, precision="float64")
        self.call("run", "s.json", "--out", "one", "--threads", 1)
        cluster.call("srun", "--ntasks=2", f"--chdir={self.folder}", program, "run", "s.json", "--threads", "1")
        self.assertEqual(self.ranks("runs/s"), 2)
        self.assertEqual(os.listdir(self.folder / "runs"), ["s"])
        one, two = (lines_of_metrics(self.folder / run) for run in ("one", "runs/s"))
        self.assertEqual(len(one), len(two))
        for a, b in zip(one, two):
            self.assertEqual(a["step"], b["step"])
            self.assertAlmostEqual(a["train/loss"], b["train/loss"], delta=1e-10)
        measured = [read_json(self.folder / run / "evaluation.json")["metrics"] for run in ("one", "runs/s")]
        for a, b in zip(*(numbers(without_seconds(each)) for each in measured)):
            self.assertAlmostEqual(a, b, delta=1e-6)

    def test_elsewhere_a_process_is_alone_unless_it_is_told(self):
        self.write_spec(steps=4)
        run = f"{shlex.quote(program)} run s.json --threads 1"
        # A script of two tasks; a step of one; two processes of a step that do not know that they are.
        self.shell_job(f"{run} --out script && srun --ntasks 1 {run} --out step &&",
                       f"srun bash -c {shlex.quote(f'unset SLURM_STEP_NUM_TASKS; exec {run} --out apart$SLURM_PROCID')} &&",
                       f"srun env -u SLURM_STEP_NUM_TASKS {run} --ranks slurm --out told && echo well",
                       options=["--ntasks=2"])
        self.wait_for_all()
        said = (self.folder / "job.txt").read_text()
        self.assertTrue(said.endswith("well\n"), said)
        self.assertEqual([self.ranks(out) for out in ("script", "step", "apart0", "apart1", "told")], [1, 1, 1, 1, 2])

    def test_a_job_of_two_ranks_requeued_keeps_a_checkpoint_and_goes_on(self):
        self.write_spec()
        name = shlex.quote(program)
        run = self.folder / "run"
        job = self.shell_job(f"if [ -e run/run.json ]; then exec srun {name} resume run; fi",
                             f"exec srun {name} run s.json --out run --threads 1", options=["--ntasks=2"])
        self.wait_for_training(run)
        cluster.call("scontrol", "requeue", job)
        self.wait_for_all()
        said = (self.folder / "job.txt").read_text()
        self.assertEqual({k: fields(job)[k] for k in ("JobState", "Restarts")},
                         {"JobState": "COMPLETED", "Restarts": "1"}, said)
        self.assertGreater(self.step_resumed_from(run), 0)
        cluster.call("srun", "--ntasks=2", f"--chdir={self.folder}", program, "run", "s.json", "--threads", "1",
                     "--out", "whole")
        self.assertEqual(figures(run), figures(self.folder / "whole"))

    def test_a_task_that_fails_is_told_with_its_cause_and_the_others_finish(self):
        self.write_study(self.spec(steps=4), {"bad": {"dataset.train": str(self.folder / "nowhere.txt")}, "good": {}})
        array, = self.submit()
        self.wait_for_all()
        states = [fields(f"{array}_{i}") for i in (0, 1)]
        self.assertEqual([(each["JobState"], each["ExitCode"]) for each in states],
                         [("FAILED", "1:0"), ("COMPLETED", "0:0")])
        self.assertRegex((self.out / f"slurm/{array}_0.txt").read_text(),
                         "(?s)FAILED bad-seed0 after .*: exit status 2: .*nowhere.txt")
        self.assertEqual(read_json(self.out / "runs/good-seed0/run.json")["status"], "finished")
        told = (self.out / "slurm/report.txt").read_text()
        self.assertRegex(told, "(?s)bad-seed0 .*nowhere.txt")
        self.assertNotIn("good-seed0", told)
        plan = self.call("study", "s.json", "--out", self.out, "--dry-run")[0]
        self.assertRegex(plan, "(?s)bad-seed0 .*nowhere.txt")

    def test_more_tasks_than_an_array_may_have_are_several_arrays_which_all_run(self):
        base = {"marginalia": 2, "energy": {"type": "ising", "side": 3}, "family": {"type": "belief_propagation"},
                "training": {"steps": 1}, "evaluation": {"rows": 20, "metrics": [
                    {"type": "marginal_error", "queries": 5, "sizes": [50]}]}}
        self.write_study(base, {"full": {}, "short": {"family.rounds": 1}}, seeds=2)
        arrays = self.submit()
        self.wait_for_all()
        ended = [fields(f"{arrays[n // MOST_TASKS]}_{n % MOST_TASKS}")["JobState"] for n in range(4)]
        self.assertEqual((len(arrays), ended), (2, 4 * ["COMPLETED"]))
        compared = read_json(self.out / "comparison.json")["experiments"]
        self.assertEqual([each["standing"] for each in compared], 4 * ["finished"])
        refused = cluster.call("bash", "-c", f"sbatch --array=0-{MOST_TASKS} --wrap true; echo $?").split()
        self.assertEqual(refused[-1], "1", "SLURM takes longer arrays than it says")

    def test_nothing_is_submitted_where_a_spec_is_wrong(self):
        self.write_study(self.spec(steps=4), {"good": {}, "bad": {"network.hiden": 3}})
        before = known_jobs()
        said = self.call("study", "s.json", "--out", self.out, "--launcher", "slurm", code=2)[1]
        self.assertIn('did you mean "hidden"?', said)
        self.assertEqual(known_jobs(), before)
        self.assertFalse(self.out.exists())

    def test_what_sbatch_refuses_is_told_and_leaves_no_job(self):
        self.write_study(self.spec(steps=4), {"good": {}})
        before = known_jobs()
        said = self.call("study", "s.json", "--out", self.out, "--launcher", "slurm", "--slurm=--partition=none", code=1)[1]
        self.assertIn("invalid partition", said)
        self.assertIn("the job script stands in", said)
        self.assertEqual(known_jobs(), before)


def numbers(value):
    """All numbers of JSON, in its order."""
    if isinstance(value, dict):
        return list(itertools.chain.from_iterable(map(numbers, value.values())))
    if isinstance(value, list):
        return list(itertools.chain.from_iterable(map(numbers, value)))
    return [value] if isinstance(value, (int, float)) else []


def main():
    global program, cluster
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    a, rest = parser.parse_known_args()
    if missing := slurm.missing_programs():
        print(f"no {', '.join(missing)}: install slurm-wlm and munge")
        sys.exit(77)
    slurm.end_by_exception()
    program = os.path.realpath(a.program)
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        cluster = slurm.Cluster(folder)
        try:
            cluster.start(cpus=2, max_array_size=MOST_TASKS)
            result = unittest.main(argv=[sys.argv[0], "--verbose", *rest], exit=False).result
        finally:
            cluster.stop()
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
