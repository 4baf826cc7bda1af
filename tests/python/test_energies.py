"""Energies of Python: factors, functions with single changes, files; on the command line too."""
import itertools
import json
import math
import os
import subprocess
import sys
import textwrap
import unittest

import numpy

import marginalia
from common import InFolder, spec, states

try:
    import scipy.sparse
except ImportError:
    scipy = None


def lattice(side, coupling):
    """J of an open square lattice, one triangle."""
    J = numpy.zeros((side * side, side * side))
    for row, column in itertools.product(range(side), repeat=2):
        i = side * row + column
        if column + 1 < side:
            J[i, i + 1] = coupling
        if row + 1 < side:
            J[i, i + side] = coupling
    return J


def brute_force(log_density, x):
    log_f = log_density(x)
    return numpy.logaddexp.reduce(log_f), log_f


class Structure(InFolder):
    def test_couplings_are_summed_as_numpy_sums_them(self):
        generator = numpy.random.default_rng(1)
        J, h, v = numpy.triu(generator.normal(size=(5, 5)), 1), generator.normal(size=5), 2 * states(5) - 1
        log_f = numpy.einsum("bi,ij,bj->b", v, J, v) + v @ h
        forms = [J, J + J.T, J.T] + ([scipy.sparse.csr_matrix(J), scipy.sparse.coo_matrix(J + J.T)] if scipy else [])
        for n, form in enumerate(forms):
            pairwise = marginalia.Pairwise(form, h)
            with self.subTest(n):
                exact = marginalia.exact(pairwise)
                self.assertAlmostEqual(exact.log_z, numpy.logaddexp.reduce(log_f), places=12)
                numpy.testing.assert_allclose(exact.log_density(states(5)), log_f, atol=1e-12)
                numpy.testing.assert_allclose(pairwise.log_density(states(5)), log_f, atol=1e-12)
        levels = marginalia.Pairwise(J, h, values=(0, 1, 3))
        x = states(5, 3)
        v = numpy.array([0, 1, 3])[x]
        log_f = numpy.einsum("bi,ij,bj->b", v, J, v) + v @ h
        self.assertAlmostEqual(marginalia.exact(levels).log_z, numpy.logaddexp.reduce(log_f), places=11)

    def test_factors_of_any_size_and_what_they_forbid(self):
        generator = numpy.random.default_rng(2)
        tables = [([0, 2, 1], generator.normal(size=(2, 2, 3))), ([1], [0.0, -numpy.inf, 0.5]), ([], 0.25)]
        factors = marginalia.Factors([2, 3, 2], tables)
        exact = marginalia.exact(factors)
        log_f = {x: tables[0][1][x[0], x[2], x[1]] + tables[1][1][x[1]] + 0.25
                 for x in itertools.product(range(2), range(3), range(2))}
        log_z = numpy.logaddexp.reduce(list(log_f.values()))
        self.assertAlmostEqual(exact.log_z, log_z, places=12)
        p = exact.single_marginals()
        self.assertEqual(p[1, 1], 0)
        self.assertAlmostEqual(p[2, 1], sum(numpy.exp(one - log_z) for x, one in log_f.items() if x[2] == 1), places=12)

    def test_what_is_no_structure_is_refused(self):
        for why, make in {
                "J must be symmetric, or one triangle: J\\[0, 1\\] is 1.0 and J\\[1, 0\\] is 2.0":
                    lambda: marginalia.Pairwise([[0, 1], [2, 0]]),
                "couples variable 1 with itself": lambda: marginalia.Pairwise([[0, 1], [1, 3]]),
                "J must have the shape \\(D, D\\), not \\(2, 3\\)": lambda: marginalia.Pairwise(numpy.zeros((2, 3))),
                "table must have the shape \\(2, 3\\), not \\(3, 2\\)":
                    lambda: marginalia.Factors([2, 3], [([0, 1], numpy.zeros((3, 2)))]),
                "must be different variables of 0 to 1": lambda: marginalia.Factors([2, 2], [([0, 2], numpy.zeros((2, 2)))]),
                "holds nan or \\+inf": lambda: marginalia.Factors([2], [([0], [0, numpy.nan])]),
                "the shape \\(2, 2\\) is of 4 variables, not 3": lambda: marginalia.Pairwise(numpy.zeros((3, 3)), shape=(2, 2))}.items():
            with self.subTest(why), self.assertRaisesRegex(ValueError, why):
                make()

    def test_a_lattice_of_python_trains_as_that_of_the_house_bit_for_bit(self):
        ising = {"type": "ising", "sides": [4, 4], "boundary": "open", "coupling": 0.25, "field": 0.0}
        training = {"steps": 20, "batch_size": 16}
        house = marginalia.run(spec(ising, training=training), out=self.folder / "house")
        pairwise = marginalia.Pairwise(lattice(4, 0.25), shape=(4, 4))
        python = marginalia.run(spec(pairwise, training=training), out=self.folder / "python")
        weights = [tensors(run.folder) for run in (house, python)]
        self.assertEqual(sorted(weights[0]), sorted(weights[1]))
        self.assertGreater(len(weights[0]), 3)
        for name, content in weights[0].items():
            self.assertEqual(content, weights[1][name], name)


def tensors(folder):
    """name -> bytes of a run's trained model, as safetensors stores them."""
    content = (folder / "checkpoints" / "last.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8:8 + size])
    return {name: content[8 + size:][slice(*entry["data_offsets"])] for name, entry in header.items()
            if name.startswith("model.")}


class Functions(InFolder):
    def test_energies_have_a_temperature(self):
        @marginalia.energy(beta=2, variables=3)
        def count(x):
            return x.sum(1)
        exact = marginalia.exact(count)
        self.assertAlmostEqual(exact.log_z, 3 * numpy.log1p(numpy.exp(-2)), places=12)

    def test_single_changes_stand_for_calls(self):
        J, calls, changed = lattice(2, 0.4), [], []

        @marginalia.log_density(variables=4, values=(-1, 1), name="counted")
        def log_f(s):
            calls.append(len(s))
            return numpy.einsum("bi,ij,bj->b", s, J, s)

        @log_f.local
        def changes(s):
            changed.append(len(s))
            rest = s @ (J + J.T)
            own = numpy.einsum("bi,ij,bj->b", s, J, s)[:, None] - s * rest
            return numpy.stack([own - rest, own + rest], 2)

        for name, sampler in {"gibbs": "gibbs", "metropolis": "metropolis"}.items():
            calls.clear()
            changed.clear()
            run = marginalia.run({"seed": 1, "energy": log_f, "training": {"steps": 200}, "evaluation": {"metrics": []},
                                  "family": {"type": "mcmc", "sampler": sampler, "chains": 64, "burn_in": 50}},
                                 out=self.folder / name)
            drawn = run.sample(4000).states
            self.assertEqual(bool(changed), name == "gibbs")
            self.assertLess(sum(calls), 20000 if name == "gibbs" else math.inf)
            log_p = marginalia.exact(log_f).log_density(states(4))
            p = numpy.exp(log_p - numpy.logaddexp.reduce(log_p))
            share = numpy.bincount(drawn @ [8, 4, 2, 1], minlength=16) / 4000
            with self.subTest(name):
                self.assertLess(abs(share - p).sum() / 2, 0.06)

    def test_single_changes_that_are_none_are_refused(self):
        @marginalia.log_density(variables=3, name="refused")
        def count(x):
            return x.sum(1)
        chains = {"energy": count, "family": {"type": "mcmc", "sampler": "gibbs", "chains": 4, "burn_in": 1}, "training": {"steps": 1},
                  "evaluation": {"metrics": []}}
        for n, (why, wrong) in enumerate({
                "holds nan": lambda x: numpy.full((len(x), 3, 2), numpy.nan),
                "must be log f\\(x\\) wherever nothing changes": lambda x: numpy.arange(6.0).reshape(1, 3, 2).repeat(len(x), 0),
                "an array \\[4, 3, 2\\]|an array \\[\\d+, 3, 2\\]": lambda x: numpy.zeros((len(x), 2)),
                "of mine": lambda x: exec("raise KeyError('of mine')")}.items()):
            count.local(wrong)
            with self.subTest(why), self.assertRaisesRegex((marginalia.Error, KeyError), why):
                marginalia.run(chains, out=self.folder / str(n))

    def test_a_function_may_write_into_its_states(self):
        @marginalia.log_density(variables=3)
        def spins(x):
            x *= 2
            x -= 1
            return x.sum(1)
        asked = states(3)
        numpy.testing.assert_array_equal(marginalia.exact(spins).log_density(asked), (2 * states(3) - 1).sum(1))
        numpy.testing.assert_array_equal(asked, states(3))

    def test_functions_made_alike_stay_apart(self):
        def make(weight):
            @marginalia.log_density(variables=2)
            def weighted(x):
                return weight * x.sum(1)
            return weighted
        one, two = make(1), make(2)
        self.assertAlmostEqual(marginalia.exact(one).log_z, 2 * numpy.log1p(numpy.e), places=12)
        self.assertAlmostEqual(marginalia.exact(two).log_z, 2 * numpy.log1p(numpy.e ** 2), places=12)
        self.assertEqual(marginalia.Pairwise([[0, 1], [1, 0]]).name, marginalia.Pairwise([[0, 1], [0, 0]]).name)

    def test_a_function_alone_is_learned(self):
        J = lattice(3, 0.25)[:6, :6]  # 2 x 3

        @marginalia.log_density(variables=6, values=(-1, 1), name="black box", shape=(2, 3))
        def log_f(s):
            return numpy.einsum("bi,ij,bj->b", s, J, s)
        labels = {"type": "denoising", "labels": {"type": "single_changes"}}
        run = marginalia.run(spec(log_f, network={"type": "mlp", "hidden": 64, "layers": 2},
                                  family={"type": "mam", "objective": labels, "states": {"type": "metropolis", "count": 512}},
                                  training={"steps": 600, "batch_size": 128, "moving_average": 0.98,
                                            "optimizer": {"type": "adam", "learning_rate": 0.005},
                                            "schedule": {"type": "cosine", "warmup_steps": 20}}), out=self.folder / "run")
        exact = marginalia.exact(marginalia.Pairwise(J))
        numpy.testing.assert_allclose(marginalia.exact(log_f).log_density(states(6)), exact.log_density(states(6)), atol=1e-12)
        asked = states(6).astype(float)
        asked[numpy.random.default_rng(0).random(asked.shape) < 0.5] = numpy.nan
        error = run.marginals(asked, estimator="one_pass").value - exact.marginals(asked)
        self.assertLess(numpy.sqrt((error ** 2).mean()), 0.06)


ENERGY = """
    import marginalia

    @marginalia.log_density(variables=4, levels=2)
    def fields(x, field=0.5):
        return field * x.sum(1)

    def chain(sites, coupling):
        @marginalia.log_density(variables=sites, values=(-1, 1))
        def density(s):
            return coupling * (s[:, 1:] * s[:, :-1]).sum(1)
        return density

    couplings = marginalia.Pairwise([[0, 1], [1, 0]])
    number = 3
"""


class Files(InFolder):
    def setUp(self):
        super().setUp()
        self.file = self.folder / "mine.py"
        self.file.write_text(textwrap.dedent(ENERGY))

    def log_z(self, name, **parameters):
        return marginalia.exact({"energy": {"type": "python", "file": str(self.file), "name": name,
                                            "parameters": parameters}}).log_z

    def test_what_a_file_defines(self):
        self.assertAlmostEqual(self.log_z("fields"), 4 * numpy.log1p(numpy.exp(0.5)), places=12)
        self.assertAlmostEqual(self.log_z("fields", field=1), 4 * numpy.log1p(numpy.exp(1)), places=12)
        self.assertAlmostEqual(self.log_z("chain", sites=5, coupling=0.3), numpy.log(2) + 4 * numpy.log(2 * numpy.cosh(0.3)), places=12)
        self.assertAlmostEqual(self.log_z("couplings"), numpy.log(4 * numpy.cosh(1)), places=12)

    def test_what_it_does_not(self):
        for why, name, parameters in [('defines no "gone"', "gone", {}), ("and no energy", "number", {}),
                                      ("unexpected keyword|got an unexpected", "fields", {"fild": 1}),
                                      ("missing a required argument", "chain", {"sites": 3}),
                                      ("takes no parameters", "couplings", {"a": 1})]:
            with self.subTest(why), self.assertRaisesRegex(marginalia.SpecError, why):
                self.log_z(name, **parameters)
        self.file.write_text("import no_such_package\n")
        with self.assertRaisesRegex(marginalia.SpecError, "imports no_such_package, which the Python of .* has not"):
            self.log_z("fields")

    def test_checking_a_spec_runs_nothing_of_it(self):
        self.file.write_text("raise RuntimeError('was run')\n")
        marginalia.check(spec({"type": "python", "file": str(self.file), "name": "f"}))
        with self.assertRaisesRegex(marginalia.SpecError, "was run"):
            self.log_z("f")


@unittest.skipUnless("MARGINALIA_PROGRAM" in os.environ, "MARGINALIA_PROGRAM does not say where the program is")
class OnTheCommandLine(Files):
    def call(self, *words, **environment):
        done = subprocess.run([os.environ["MARGINALIA_PROGRAM"], *words], capture_output=True, text=True, cwd=self.folder,
                              env={**os.environ, **environment})
        return done.returncode, done.stdout, done.stderr

    def log_z(self, name, **parameters):
        (self.folder / "spec.json").write_text(json.dumps(
            {"marginalia": 2, "energy": {"type": "python", "file": "mine.py", "name": name, "parameters": parameters}}))
        code, out, error = self.call("exact", "spec.json")
        if code != 0:
            self.assertEqual(code, 2, error)
            raise marginalia.SpecError(error)
        return json.loads(out)["log_z"]

    def test_checking_a_spec_runs_nothing_of_it(self):
        self.file.write_text("raise RuntimeError('was run')\n")
        (self.folder / "spec.json").write_text(json.dumps(spec({"type": "python", "file": "mine.py", "name": "f"})))
        self.assertEqual(self.call("check", "spec.json")[0], 0)
        code, _, error = self.call("check", "--open", "spec.json")
        self.assertEqual(code, 2)
        self.assertIn("was run", error)

    def test_what_a_function_raises_ends_the_program_with_its_traceback(self):
        self.file.write_text("import marginalia\n\n@marginalia.log_density(variables=2)\ndef broken(x):\n    return 1 / 0\n")
        (self.folder / "spec.json").write_text(json.dumps(
            {"marginalia": 2, "energy": {"type": "python", "file": "mine.py", "name": "broken"}}))
        code, _, error = self.call("exact", "spec.json")
        self.assertEqual(code, 1, error)
        self.assertIn("ZeroDivisionError", error)
        self.assertIn("mine.py(5): broken", error)

    def test_an_environment_that_is_not_there(self):
        (self.folder / "spec.json").write_text(json.dumps({"marginalia": 2, "energy": {"type": "python", "file": "mine.py", "name": "fields"}}))
        code, _, error = self.call("exact", "spec.json", VIRTUAL_ENV=str(self.folder))
        self.assertEqual(code, 2)
        self.assertIn("there is no bin/python3", error)

    def test_a_module_of_another_build(self):
        package = self.folder / "other" / "marginalia"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "_host.py").write_text("__file__ = 'libm.so.6'\n")  # loaded, and without a stamp
        (self.folder / "spec.json").write_text(json.dumps({"marginalia": 2, "energy": {"type": "python", "file": "mine.py", "name": "fields"}}))
        code, _, error = self.call("exact", "spec.json", PYTHONPATH=str(package.parent))
        self.assertEqual(code, 2)
        self.assertRegex(error, "libm.so.6 is of another build .one without a stamp. than this program .headers .*: install both")

    def test_a_project_of_ones_own(self):
        self.assertEqual(self.call("new", "energy", "my_energy", "--language", "python")[0], 0)
        code, out, error = self.call("exact", "my_energy/spec.json")
        self.assertEqual(code, 0, error)
        self.assertAlmostEqual(json.loads(out)["log_z"], 6 * numpy.log1p(numpy.exp(0.5)), places=12)
        tests = subprocess.run([sys.executable, "-m", "unittest"], cwd=self.folder / "my_energy", capture_output=True, text=True)
        self.assertEqual(tests.returncode, 0, tests.stderr)
        self.assertIn("Ran 2 tests", tests.stderr)
        code, _, error = self.call("new", "family", "mine", "--language", "python")
        self.assertEqual(code, 2)
        self.assertIn("there is a template of an energy", error)


if __name__ == "__main__":
    unittest.main()
