"""The loop, certificates, datasets, studies, models from elsewhere, observables."""
import json
import math
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import unittest

import numpy

import marginalia
from common import ISING, InFolder, spec, states

try:
    import pandas
except ImportError:
    pandas = None
try:
    import torch  # the PyTorch of the same system: one LibTorch
except ImportError:
    torch = None


def model_of(folder):
    return (folder / "checkpoints" / "last.safetensors").resolve().read_bytes()


class Loop(InFolder):
    def test_step_by_step_it_is_what_run_does(self):
        whole = marginalia.run(spec(ISING), out=self.folder / "whole")
        training = marginalia.train(spec(ISING), out=self.folder / "steps")
        steps = list(training)
        self.assertEqual([step.step for step in steps], [1, 2, 3, 4])
        self.assertTrue(all(math.isfinite(step.loss) for step in steps))
        self.assertEqual(steps[-1].share, 1)
        x = states(6)
        numpy.testing.assert_array_equal(training.run.marginals(x).value, whole.marginals(x).value)
        self.assertTrue((training.run.folder / "evaluation.json").exists())

    def test_a_loop_that_is_left_can_be_resumed(self):
        training = marginalia.train(spec(ISING), out=self.folder / "run")
        for step in training:
            if step.step == 2:
                break
        self.assertIsNone(training.run)
        run = marginalia.resume(self.folder / "run")
        self.assertEqual(run.step, 4)
        whole = marginalia.run(spec(ISING), out=self.folder / "whole")
        numpy.testing.assert_array_equal(run.marginals(states(6)).value, whole.marginals(states(6)).value)


    def test_a_function_that_fails_comes_out_and_the_run_can_be_resumed(self):
        broken = []

        @marginalia.log_density(variables=4, name="mended")
        def fields(x):
            if broken:
                raise LookupError("of mine")
            return 0.5 * x.sum(1)
        training = marginalia.train(spec(fields), out=self.folder / "run")
        with self.assertRaisesRegex(LookupError, "of mine"):
            for step in training:
                if step.step == 2:
                    broken.append(True)
        self.assertEqual(json.loads((self.folder / "run" / "run.json").read_text())["status"], "failed")
        broken.clear()
        run = marginalia.resume(self.folder / "run")
        whole = marginalia.run(spec(fields), out=self.folder / "whole")
        numpy.testing.assert_array_equal(run.marginals(states(4)).value, whole.marginals(states(4)).value)

    def test_control_c_within_a_function_of_python(self):
        calls, before = [], signal.getsignal(signal.SIGINT)

        @marginalia.log_density(variables=4, name="interrupted")
        def fields(x):
            calls.append(len(x))
            if len(calls) == 20:
                os.kill(os.getpid(), signal.SIGINT)
            return 0.5 * x.sum(1)
        many = spec(fields, training={"steps": 400, "batch_size": 8})
        with self.assertRaises(KeyboardInterrupt):
            marginalia.run(many, out=self.folder / "run")
        self.assertEqual(json.loads((self.folder / "run" / "run.json").read_text())["status"], "interrupted")
        self.assertEqual(marginalia.resume(self.folder / "run").step, 400)
        self.assertIs(signal.getsignal(signal.SIGINT), before)

    def test_control_c_while_a_prior_is_learned(self):
        rows = numpy.random.default_rng(6).integers(0, 2, (200, 4))
        learned = {"seed": 1, "dataset": marginalia.Dataset(rows, levels=2),
                   "network": {"type": "mlp", "hidden": 8, "layers": 1, "prior": "family"},
                   "prior": {"family": {"type": "circuit", "latents": 2}, "cross_fit": "off", "training": {"steps": 30}},
                   "family": {"type": "any_order_arm"}, "training": {"steps": 40}, "evaluation": {"metrics": ["nll"]}}

        def say(text):
            if "prior" in text:
                os.kill(os.getpid(), signal.SIGINT)
        with self.assertRaises(KeyboardInterrupt):
            marginalia.run(learned, out=self.folder / "run", say=say)
        self.assertEqual(json.loads((self.folder / "run" / "run.json").read_text())["status"], "interrupted")
        self.assertIn("before the first step", (self.folder / "run" / "log.txt").read_text())
        self.assertEqual(marginalia.resume(self.folder / "run").step, 40)
        with self.assertRaises(KeyboardInterrupt):
            marginalia.train(learned, out=self.folder / "loop", say=say)
        self.assertEqual(marginalia.resume(self.folder / "loop").step, 40)


class Certificates(InFolder):
    def test_an_interval_holds_the_truth(self):
        run = marginalia.run(spec(ISING), out=self.folder / "run")
        asked = [[1, None, 0, None, None, None], [None, 1, 1, 1, None, 0]]
        truth = marginalia.exact({"energy": ISING}).marginals(asked)
        told = run.marginals(asked, certify=True)
        self.assertEqual(told.status, "certified")
        self.assertTrue((told.lower - 1e-9 <= truth).all() and (truth <= told.upper + 1e-9).all(), (told, truth))
        one = run.marginals(asked[0], given=[1] + [None] * 5, certify={"confidence": 0.99})
        self.assertEqual(one.confidence, 0.99)
        truth = marginalia.exact({"energy": ISING}).marginals(asked[0], given=[1] + [None] * 5)
        self.assertTrue(one.lower - 1e-9 <= truth <= one.upper + 1e-9)


class Data(InFolder):
    def rows(self):
        generator = numpy.random.default_rng(5)
        x = generator.integers(0, 2, (400, 4))
        x[:, 3] = x[:, 0]
        return x

    def test_arrays_are_learned_from(self):
        data = marginalia.Dataset(self.rows(), levels=2)
        self.assertEqual([len(part) for part in data.splits], [320, 40, 40])
        run = marginalia.run({"seed": 1, "dataset": data, "family": {"type": "chow_liu"}, "training": {"steps": 1},
                              "evaluation": {"metrics": ["nll"]}}, out=self.folder / "run")
        p = numpy.exp(run.conditionals([1, None, None, None]).value)
        self.assertGreater(p[3, 1], 0.95)
        self.assertAlmostEqual(run.results["nll/one_pass"], 3 * math.log(2), delta=0.1)

    def test_gaps_splits_and_values(self):
        x = self.rows().astype(float)
        x[0, 1] = numpy.nan
        data = marginalia.Dataset(2 * x - 1, test=[[1, -1, 1, None]], values=(-1, 1))
        self.assertEqual([len(part) for part in data.splits], [356, 44, 1])
        self.assertEqual(data.splits[2].tolist(), [[1, 0, 1, -1]])
        with self.assertRaisesRegex(TypeError, "say levels=K"):
            marginalia.Dataset(x)
        with self.assertRaisesRegex(ValueError, "test: variable 0 of row 0 is 2, of the levels 0 to 1"):
            marginalia.Dataset(x, test=[[2, 0, 0, 0]], levels=2)
        of_three = marginalia.Dataset((row for row in [[0, 1], [1, 2]]), cardinalities=[2, 3], split=(1, 0, 0))
        self.assertEqual([len(part) for part in of_three.splits], [2, 0, 0])


    def test_letters(self):
        data = marginalia.Dataset(["ACGT", "AAAA", "CCGT"] * 10, alphabet="ACGT")
        self.assertEqual(data.splits[0].shape[1], 4)
        self.assertEqual(sorted(set(map(tuple, data.splits[0].tolist()))), [(0, 0, 0, 0), (0, 1, 2, 3), (1, 1, 2, 3)])
        run = marginalia.run({"seed": 1, "dataset": data, "family": {"type": "chow_liu"}, "training": {"steps": 1},
                              "evaluation": {"metrics": []}}, out=self.folder / "run")
        self.assertGreater(run.marginals("AAAA").value, run.marginals("GGGG").value)
        self.assertEqual(run.text([0, 1, 2, 3]), "ACGT")
        with self.assertRaisesRegex(ValueError, "'X' is none of the letters ACGT"):
            marginalia.Dataset(["ACGX"], alphabet="ACGT")


def thirty_lines():
    """An autoregressive sampler of numpy, fitted by enumeration: the law of ISING, each conditional a little off."""
    x = states(6)
    log_f = marginalia.exact({"energy": ISING}).log_density(x)
    p = numpy.exp(log_f - numpy.logaddexp.reduce(log_f)) * numpy.exp(0.05 * (x[:, 0] - x[:, 5]))
    p /= p.sum()
    return p


class Elsewhere(InFolder):
    def test_a_sampler_is_judged_as_any_model(self):
        p, x = thirty_lines(), states(6)
        index = 2 ** numpy.arange(5, -1, -1)
        run = marginalia.evaluate({"energy": ISING}, sample=lambda n, seed: x[numpy.random.default_rng(seed).choice(64, n, p=p)],
                                  log_prob=lambda s: numpy.log(p[s @ index]), rows=2000, out=self.folder / "run")
        log_f = marginalia.exact({"energy": ISING}).log_density(x)
        log_p = log_f - numpy.logaddexp.reduce(log_f)
        self.assertAlmostEqual(run.results["log_z/exact"], numpy.logaddexp.reduce(log_f), places=9)
        reverse = (p * (numpy.log(p) - log_p)).sum()
        self.assertAlmostEqual(run.results["kl_reverse/importance"], reverse, delta=0.01)
        # Partial states by sums over all completions.
        p_first = p[x[:, 0] == 1].sum()
        self.assertAlmostEqual(run.marginals([1] + [None] * 5).value, math.log(p_first), places=12)
        given = run.marginals([1, 1] + [None] * 4, given=[1] + [None] * 5)
        self.assertAlmostEqual(given.value, math.log(p[(x[:, 0] == 1) & (x[:, 1] == 1)].sum() / p_first), places=12)
        with self.assertRaisesRegex(marginalia.Error, "takes no evidence"):
            run.sample(3, given=[1] + [None] * 5)

    def test_conditionals_answer_everything(self):
        def conditionals(x):
            p = numpy.full((*x.shape, 2), 0.5)
            p[:, 1] = numpy.where(x[:, :1] >= 0, numpy.where(x[:, :1] == 1, [0.1, 0.9], [0.9, 0.1]), 0.5)
            return numpy.log(p)
        run = marginalia.evaluate(marginalia.Pairwise([[0, 1], [1, 0]]), conditionals=conditionals, metrics=[], out=self.folder / "run")
        self.assertAlmostEqual(run.marginals([1, 1], order="forward").value, math.log(0.45), places=6)
        drawn = run.sample(2000, given=[1, None]).states
        self.assertAlmostEqual(drawn[:, 1].mean(), 0.9, delta=0.04)

    def test_what_it_returns_is_checked(self):
        def failing(n, seed):
            raise KeyError("of mine")
        target = {"energy": ISING}
        for why, model in {"must return states": {"sample": lambda n, seed: numpy.zeros((n, 2), int)},
                           "of the levels|must be": {"sample": lambda n, seed: numpy.full((n, 6), 7)},
                           "of mine": {"sample": failing}}.items():
            with self.subTest(why), self.assertRaisesRegex((marginalia.Error, KeyError), why):
                marginalia.evaluate(target, **model, rows=8, metrics=["observables"], out=self.folder / why[:4])
        with self.assertRaisesRegex(TypeError, "at least one"):
            marginalia.evaluate(target)


def of_torch(log_f, variables, steps=300):
    """An autoregressive sampler of PyTorch, trained by reinforcement of the reverse KL divergence."""
    torch.manual_seed(0)
    below = torch.tril(torch.ones(variables, variables), -1)
    weight, bias = torch.zeros(variables, variables, requires_grad=True), torch.zeros(variables, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=0.03)

    def logits(s):
        return s @ (weight * below).T + bias

    def log_prob(s):
        return torch.nn.functional.logsigmoid(s * logits(s)).sum(1)

    def sample(n):
        s = torch.zeros(n, variables)
        for i in range(variables):
            s[:, i] = 2 * torch.bernoulli(torch.sigmoid(logits(s)[:, i])) - 1
        return s

    for _ in range(steps):
        with torch.no_grad():
            s = sample(256)
        log_q = log_prob(s)
        cost = log_q.detach() - torch.as_tensor(log_f(((s + 1) / 2).long().numpy()))
        optimizer.zero_grad()
        ((cost - cost.mean()) * log_q).mean().backward()
        optimizer.step()

    def seeded(n, seed):
        torch.manual_seed(seed)
        with torch.no_grad():
            return sample(n)
    return marginalia.Sampler(sample=seeded, log_prob=lambda s: log_prob(torch.as_tensor(s, dtype=torch.float32)), values=(-1, 1))


@unittest.skipUnless(pandas, "pandas is not installed (python3-pandas)")
class Frames(InFolder):
    @unittest.skipUnless(torch, "PyTorch is not installed (python3-torch)")
    def test_a_study_with_a_model_from_elsewhere(self):
        sampler = of_torch(marginalia.exact({"energy": ISING}).log_density, 6)
        base = spec(ISING, evaluation={"metrics": ["kl_reverse"], "samples": 0, "rows": 500})
        study = marginalia.study({"marginalia_study": 2, "base": base, "seeds": [0, 1],
                                  "variants": {"mam": {}, "elsewhere": {"family": sampler, "training": {"steps": 0}}}},
                                 out=self.folder / "study")
        table = study.table()
        self.assertEqual(set(table["row"]), {"mam", "elsewhere"})
        kl = table[(table["column"] == "kl_reverse")].set_index("row")["mean"]
        self.assertLess(kl["elsewhere"], 0.05)
        self.assertLess(kl["elsewhere"], kl["mam"])
        self.assertEqual(len(study.experiments), 4)
        found = marginalia.runs(self.folder, where={"family.type": "mam"})
        self.assertEqual(found["family"].tolist(), ["mam", "mam"])
        self.assertEqual(len(marginalia.runs(self.folder, where=lambda record: record["spec"]["seed"] == 1)), 2)
        with self.assertRaisesRegex(ValueError, "elsewhere-seed0's family is of Python, which is called by one thread alone"):
            marginalia.study(self.folder / "study.json", out=self.folder / "two at once", jobs=2)
        again = marginalia.study(self.folder / "study.json", out=self.folder / "study")
        self.assertEqual(again.table().shape, table.shape)

    def test_frames_of_a_run(self):
        run = marginalia.run(spec(ISING, evaluation={"metrics": ["log_z", "nll"], "samples": 0, "rows": 50},
                                  training={"steps": 4, "batch_size": 8, "log_every_steps": 1}), out=self.folder / "run")
        self.assertEqual(run.evaluation.loc[("log_z", "exact"), "value"], run.results["log_z/exact"])
        self.assertEqual(run.evaluation.loc[("nll", ""), "status"], "unavailable")
        self.assertEqual(run.metrics["step"].tolist(), [1, 2, 3, 4])
        self.assertEqual(run.marginals(states(6)).frame().shape, (64, 1))
        frame = pandas.DataFrame(states(6)).astype("Int64")
        frame.iloc[0, 0] = pandas.NA
        self.assertEqual(run.marginals(frame).value[1], run.marginals(states(6)).value[1])

    def test_thermodynamics(self):
        run = marginalia.run(spec(ISING, training={"steps": 300, "batch_size": 64, "optimizer": {"learning_rate": 0.003}}),
                             out=self.folder / "run")
        told = marginalia.thermodynamics(run, [0.7, 1, 2], samples=20000)
        x = states(6)
        E, M = -marginalia.exact({"energy": ISING}).log_density(x), abs((2 * x - 1).sum(1))
        for T in (0.7, 1, 2):
            p = numpy.exp(-E / T)
            p /= p.sum()
            e, m2, m4 = p @ E, p @ M ** 2, p @ M ** 4
            self.assertAlmostEqual(told.loc[T, "energy"], e / 6, delta=5 * told.loc[T, "energy_stderr"] + 1e-3)
            for name, truth in {"heat_capacity": (p @ E ** 2 - e * e) / T / T / 6, "binder": 1 - m4 / 3 / m2 ** 2,
                                "susceptibility": (m2 - (p @ M) ** 2) / T / 6, "magnetisation": p @ M / 6}.items():
                error = told.loc[T, f"{name}_stderr"]
                self.assertTrue(0 < error < 0.03, (T, name, error))
                self.assertLess(abs(told.loc[T, name] - truth), 5 * error, (T, name))
        mean = marginalia.observables(run, {"m": lambda s: abs(s.sum(1))}, values=(-1, 1))["m"]
        p = numpy.exp(-E)
        self.assertAlmostEqual(mean.value, p @ M / p.sum(), delta=5 * mean.stderr)
        self.assertGreater(mean.ess, 5000)


def ask_in_child(queue, run):
    try:
        queue.put(repr(run.marginals([1] + [None] * 5).value))
    except marginalia.Error as error:
        queue.put(str(error))


class Manners(InFolder):
    def test_runs_pickle(self):
        run = marginalia.run(spec(ISING), out=self.folder / "run")
        again = pickle.loads(pickle.dumps(run))
        numpy.testing.assert_array_equal(again.marginals(states(6)).value, run.marginals(states(6)).value)

    def test_a_forked_process_is_told(self):
        run = marginalia.run(spec(ISING), out=self.folder / "run")
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=ask_in_child, args=(queue, run))
        child.start()
        self.assertIn("was forked after marginalia had been used", queue.get(timeout=60))
        child.join(60)

    @unittest.skipUnless(torch, "PyTorch is not installed (python3-torch)")
    def test_the_generator_of_torch_goes_on_as_it_was(self):
        torch.manual_seed(7)
        expected = torch.rand(3)
        torch.manual_seed(7)
        marginalia.load(marginalia.run(spec(ISING), out=self.folder / "run").folder)
        self.assertTrue(torch.equal(torch.rand(3), expected))

    def test_a_second_libtorch_is_refused_by_path(self):
        other = self.folder / "libtorch_cpu.so"
        shutil.copy("/lib/x86_64-linux-gnu/libm.so.6", other)
        done = subprocess.run([sys.executable, "-c", f"import ctypes; ctypes.CDLL({str(other)!r}); import marginalia"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("two LibTorch are in this process", done.stderr)
        self.assertIn(str(other), done.stderr)

    def test_components_explain_themselves(self):
        self.assertIn("ising", dir(marginalia.energies))
        self.assertEqual(marginalia.energies.ising(side=4), {"type": "ising", "side": 4})
        self.assertIn("sum_<ij> J_ij s_i s_j", marginalia.energies.ising.__doc__)
        import inspect
        self.assertEqual(inspect.signature(marginalia.energies.ising).parameters["coupling"].default, 0.2)
        with self.assertRaisesRegex(AttributeError, 'no energy "isng"'):
            marginalia.energies.isng
        from marginalia._stubs import stubs
        compile(stubs(), "stubs", "exec")
        self.assertIn("def ising(*, side: int = ...", stubs())

    def test_a_bar(self):
        import contextlib
        import io
        shown = io.StringIO()
        with contextlib.redirect_stderr(shown):
            marginalia.run(spec(ISING), out=self.folder / "run", progress=True)
        self.assertIn("100%  step 4", shown.getvalue())


if __name__ == "__main__":
    unittest.main()
