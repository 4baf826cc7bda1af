"""Runs, exact answers and functions as energies, in process."""
import math
import os
import signal
import threading
import unittest
import warnings

import numpy

import marginalia
from common import ISING, InFolder, spec, states

@marginalia.log_density(variables=4, values=(-1, 1))
def chain(x):
    return 0.5 * (x[:, 1:] * x[:, :-1]).sum(1) + 0.2 * x[:, 0]


def chain_by_hand():
    """log f of all states, in the order of states(4)."""
    x = 2 * states(4) - 1
    return 0.5 * (x[:, 1:] * x[:, :-1]).sum(1) + 0.2 * x[:, 0]


class ExactAnswers(unittest.TestCase):
    def test_a_function_of_python_is_summed_as_numpy_sums_it(self):
        exact = marginalia.exact({"marginalia": 2, "energy": chain.energy})
        log_f = chain_by_hand()
        self.assertAlmostEqual(exact.log_z, numpy.logaddexp.reduce(log_f), places=12)
        numpy.testing.assert_allclose(exact.log_density(states(4)), log_f, atol=1e-12)
        p = numpy.exp(log_f - exact.log_z)
        up = states(4)[:, 2] == 1
        self.assertAlmostEqual(math.exp(exact.marginals([None, None, 1, None], values=(-1, 1))), p[up].sum(), places=12)
        both = up & (states(4)[:, 0] == 0)
        self.assertAlmostEqual(math.exp(exact.marginals([None, None, 1, None], given=[0, None, None, None])),
                               p[both].sum() / p[states(4)[:, 0] == 0].sum(), places=12)
        numpy.testing.assert_allclose(exact.single_marginals()[2], [p[~up].sum(), p[up].sum()], atol=1e-12)

    def test_an_energy_of_the_house(self):
        exact = marginalia.exact({"marginalia": 2, "energy": ISING})
        log_f = exact.log_density(states(6))
        self.assertAlmostEqual(exact.log_z, numpy.logaddexp.reduce(log_f), places=10)
        self.assertEqual(exact.space.shape, (2, 3))

    def test_what_a_function_returns_is_checked(self):
        for name, returned, why in [("short", lambda x: x[1:, 0], "must return 4 numbers, log f of each state"),
                                    ("nan", lambda x: 0 * x[:, 0] + math.nan, "NaN|nan"),
                                    ("text", lambda x: ["a"] * len(x), "must return 4 numbers")]:
            function = marginalia.log_density(variables=2, name=name)(returned)
            with self.subTest(name), self.assertRaisesRegex(marginalia.Error, why):
                marginalia.exact({"marginalia": 2, "energy": function.energy}).log_density([[0, 1], [1, 1]])

    def test_what_a_function_raises_comes_out_as_it_is(self):
        @marginalia.log_density(variables=2)
        def broken(x):
            raise KeyError("of mine")
        with self.assertRaisesRegex(KeyError, "of mine"):
            marginalia.exact({"marginalia": 2, "energy": broken.energy}).log_density([[0, 1]])


class Specs(unittest.TestCase):
    def test_faults_come_together_as_a_value_error(self):
        with self.assertRaises(marginalia.SpecError) as raised:
            marginalia.check(spec({"type": "isng"}, training={"stepps": 3}))
        self.assertIsInstance(raised.exception, ValueError)
        self.assertIsInstance(raised.exception, marginalia.Error)
        self.assertIn("did you mean \"ising\"", str(raised.exception))
        self.assertIn("did you mean \"steps\"", str(raised.exception))

    def test_overrides_and_defaults(self):
        resolved = marginalia.check(spec(ISING), {"training.steps": 7, "network.hidden": 5})
        self.assertEqual(resolved["training"]["steps"], 7)
        self.assertEqual(resolved["network"]["hidden"], 5)
        self.assertIn("optimizer", resolved["training"])


class Runs(InFolder):
    def test_a_run_answers_alike_in_process_and_from_its_folder(self):
        steps = []
        run = marginalia.run(spec(ISING), out=self.folder / "run", overrides={"training.log_every_steps": 1},
                             progress=lambda step, share, loss: steps.append(step))
        self.assertEqual(run.step, 4)
        self.assertEqual(steps[-1], 4)
        x = states(6)
        all_states = run.marginals(x)
        self.assertEqual(all_states.value.shape, (64,))
        self.assertEqual(run.marginals(x[5]).value, all_states.value[5])
        again = marginalia.load(self.folder / "run")
        numpy.testing.assert_array_equal(again.marginals(x).value, all_states.value)
        self.assertIn("mam", repr(again))
        # Along one order the conditionals make a law.
        chained = run.marginals(x, estimator="chain", order="forward")
        self.assertAlmostEqual(numpy.logaddexp.reduce(chained.value), 0, places=5)
        self.assertEqual(run.conditionals([[None] * 6]).value.shape, (1, 6, 2))

    def test_samples_keep_what_is_given(self):
        run = marginalia.run(spec(chain.energy), out=self.folder / "run")
        drawn = run.sample(5, given=[[1, None, None, -1], [-1, -1, None, None]], values=(-1, 1))
        self.assertEqual(drawn.states.shape, (10, 4))
        self.assertEqual(set(numpy.unique(drawn.states)), {-1, 1})
        self.assertTrue((drawn.states[:5, [0, 3]] == [1, -1]).all())
        self.assertTrue((drawn.states[5:, :2] == -1).all())
        same = run.sample(5, given=[[1, None, None, -1], [-1, -1, None, None]], values=(-1, 1))
        numpy.testing.assert_array_equal(same.states, drawn.states)
        with self.assertRaisesRegex(ValueError, "variable 0 of row 0 is 1 in x and 0 in given"):
            run.marginals([1, None, None, None], given=[0, None, None, None])
        with self.assertRaisesRegex(ValueError, "variable 0 of row 0 is 1 in x and 0 in given"):
            marginalia.exact({"energy": chain.energy}).marginals([1, None, None, None], given=[0, None, None, None])
        with self.assertRaisesRegex(ValueError, "stand for 1 levels, and there are 2"):
            run.marginals([3, 3, 3, 3], values=(3,))
        with self.assertRaisesRegex(marginalia.SpecError, "no estimator"):
            run.marginals([1, None, None, None], estimator="no_such")

    def test_a_metric_measured_again_keeps_its_settings(self):
        timed = {"type": "marginal_seconds", "batch": 3, "repeats": 2, "estimators": ["one_pass"]}
        run = marginalia.run(spec(ISING, evaluation={"metrics": [timed, "ess"], "samples": 0}), out=self.folder / "run", threads=1)
        again = run.measure(["marginal_seconds", "kl_reverse"])["metrics"]
        self.assertEqual(sorted(again), ["kl_reverse", "marginal_seconds"])
        self.assertEqual([again["marginal_seconds"]["one_pass"][key] for key in ("batch", "threads")], [3, 1])

    def test_an_exception_in_a_callback_ends_training_with_a_checkpoint(self):
        def progress(step, share, loss):
            if step == 2:
                raise LookupError("enough")
        many = spec(ISING, training={"steps": 50, "batch_size": 8, "log_every_steps": 1})
        with self.assertRaisesRegex(LookupError, "enough"):
            marginalia.run(many, out=self.folder / "run", progress=progress)
        run = marginalia.resume(self.folder / "run")
        self.assertEqual(run.step, 50)
        whole = marginalia.run(many, out=self.folder / "whole")
        numpy.testing.assert_array_equal(run.marginals(states(6)).value, whole.marginals(states(6)).value)

    def test_control_c_ends_training_with_a_checkpoint(self):
        many = spec(ISING, training={"steps": 100000, "batch_size": 8, "log_every_steps": 1})
        def progress(step, share, loss):
            if step == 3:
                os.kill(os.getpid(), signal.SIGINT)
        with self.assertRaises(KeyboardInterrupt):
            marginalia.run(many, out=self.folder / "run", progress=progress)
        self.assertGreaterEqual(marginalia.load(self.folder / "run").step, 3)

    def test_threads_of_python_go_on_meanwhile(self):
        counted, done = [0], threading.Event()
        def count():
            while not done.is_set():
                counted[0] += 1
                done.wait(0.001)
        other = threading.Thread(target=count)
        other.start()
        try:
            before = counted[0]
            marginalia.run(spec(ISING, training={"steps": 200, "batch_size": 64}), out=self.folder / "run")
            self.assertGreater(counted[0] - before, 20)
        finally:
            done.set()
            other.join()

    def test_what_is_not_there_is_said(self):
        with self.assertRaises(marginalia.SpecError):
            marginalia.load(self.folder / "nothing")
        with self.assertRaisesRegex(marginalia.SpecError, "no energy \"gone\" is defined in this process"):
            marginalia.exact({"marginalia": 2, "energy": {"type": "python", "name": "gone"}})


if __name__ == "__main__":
    warnings.simplefilter("error")
    unittest.main()
