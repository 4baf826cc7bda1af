"""Tables of mixed columns in the manner of scikit-learn."""
import json
import pathlib
import pickle
import unittest
import warnings

import numpy

import marginalia
from common import InFolder
from marginalia import _tables

try:
    import pandas
except ImportError:
    pandas = None
try:
    import sklearn
    from sklearn.base import clone
    from sklearn.utils.estimator_checks import check_estimator
except ImportError:
    sklearn = None

QUICK = {"type": "chow_liu"}


def people(count=600, seed=3):
    """sex, age and income, of which the income hangs on both."""
    generator = numpy.random.default_rng(seed)
    sex = generator.choice(["Female", "Male"], count)
    age = generator.integers(18, 80, count)
    rich = generator.random(count) < numpy.where(sex == "Male", 0.1 + 0.01 * (age - 18), 0.05)
    return pandas.DataFrame({"sex": sex, "age": age, "income": numpy.where(rich, ">50K", "<=50K")})


@unittest.skipUnless(pandas, "pandas is not installed (python3-pandas)")
class Tables(InFolder):
    def test_it_trains_what_the_spec_of_tables_trains(self):
        file = pathlib.Path(__file__).resolve().parent.parent.parent / "experiments/tables/any.json"
        spec = json.loads(file.read_text(encoding="utf-8"))
        self.assertEqual(_tables.FAMILY, spec["family"])
        self.assertEqual(_tables.TRAINING, {key: of for key, of in spec["training"].items() if key != "budget"})

    def fitted(self, **more):
        return marginalia.Table(seconds=2, family=QUICK, **more).fit(people())

    def test_each_answer(self):
        table, frame = self.fitted(), people(50, 4)
        self.assertTrue(numpy.isfinite(table.score_samples(frame)).all())
        self.assertAlmostEqual(table.score(frame), table.score_samples(frame).mean())
        chances = table.predict_proba(frame, "income")
        self.assertEqual(list(chances.columns), ["<=50K", ">50K"])
        numpy.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-5)
        numpy.testing.assert_allclose(table.predict_proba(frame.drop(columns="income"), "income"), chances)
        rich = table.probability('income=">50K"', "sex=Male, age>=60")
        self.assertGreater(rich, table.probability('income=">50K"', "sex=Female"))
        cells = table.cell_scores(frame)
        self.assertEqual(len(cells), 150)
        self.assertTrue(cells["p_value"].between(0, 1).all())

    def test_gaps_are_filled_and_what_is_known_stays(self):
        table, frame = self.fitted(), people(40, 5)
        gaps = frame.copy()
        gaps.index = gaps.index + 100
        gaps.loc[gaps.index[:10], "sex"] = None
        gaps["age"] = gaps["age"].astype("Int64")
        gaps.loc[gaps.index[5:15], "age"] = pandas.NA
        filled = table.transform(gaps)
        self.assertFalse(filled.isna().any().any())
        self.assertEqual(filled.index.tolist(), gaps.index.tolist())
        self.assertEqual(filled["sex"].tolist()[10:], frame["sex"].tolist()[10:])
        self.assertEqual(filled["age"].tolist()[15:], frame["age"].tolist()[15:])
        self.assertTrue(set(filled["sex"]) <= {"Male", "Female"})
        drawn = table.impute(gaps, draws=3)
        self.assertEqual(len(drawn), 120)

    def test_columns_keep_their_types(self):
        frame = people()
        frame["code"] = numpy.where(frame["age"] > 40, "007", "01")
        frame["old"] = frame["age"] > 60
        table = marginalia.Table(seconds=2, family=QUICK).fit(frame)
        drawn = table.sample(50)
        self.assertTrue(set(drawn["code"]) <= {"007", "01"})
        self.assertEqual(drawn.dtypes.tolist(), frame.dtypes.tolist())
        self.assertEqual(table.transform(frame.head(5)).to_dict(), frame.head(5).to_dict())

    def test_one_column_given_the_others(self):
        table, frame = self.fitted(), people(50, 4)
        told = table.predict(frame, "income")
        self.assertTrue(set(told) <= {"<=50K", ">50K"})
        self.assertTrue(table.predict(frame, "age").between(18, 80).all())
        with self.assertRaisesRegex(ValueError, "age is a number"):
            table.predict_proba(frame, "age")
        with self.assertRaisesRegex(ValueError, "no column is called 'incom'"):
            table.predict_proba(frame, "incom")

    def test_a_table_of_the_users_is_not_replaced(self):
        (self.folder / "mine.csv").write_text("precious")
        with self.assertRaisesRegex(FileExistsError, "holds something else"):
            marginalia.Table(seconds=1, family=QUICK, out=self.folder / "mine").fit(people())
        self.assertEqual((self.folder / "mine.csv").read_text(), "precious")

    def test_rows_of_which_conditions_hold(self):
        drawn = self.fitted().sample(200, "age>=70, sex=Male")
        self.assertEqual(len(drawn), 200)
        self.assertTrue((drawn["age"] >= 70).all() and (drawn["sex"] == "Male").all())

    def test_it_pickles_with_what_it_learned(self):
        table = self.fitted()
        frame, before = people(20, 6), table.score_samples(people(20, 6))
        packed = pickle.dumps(table)
        del table
        numpy.testing.assert_array_equal(pickle.loads(packed).score_samples(frame), before)

    def test_what_is_wrong_is_said(self):
        table = marginalia.Table()
        with self.assertRaisesRegex(ValueError, "not fitted yet"):
            table.sample(3)
        table = self.fitted()
        with self.assertRaisesRegex(marginalia.SpecError, "Mael"):
            table.probability("sex=Mael")
        other = people(5).assign(sex="Other")
        with self.assertRaisesRegex(marginalia.SpecError, "Other"):
            table.score_samples(other)

    @unittest.skipUnless(sklearn, "scikit-learn is not installed (python3-sklearn)")
    def test_the_checks_of_scikit_learn(self):
        clone(marginalia.Table(seconds=3)).get_params()
        # Each with the reason why it does not apply.
        apart = {"check_dtype_object": "texts are labels here, and taken",
                 "check_estimators_nan_inf": "NaN is a gap here, and taken",
                 "check_fit1d": "says so in words of its own"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for estimator, check in check_estimator(marginalia.Table(seconds=0.2, family={"type": "independent"}), generate_only=True):
                name = check.func.__name__
                if name in apart:
                    continue
                with self.subTest(name):
                    check(estimator)


if __name__ == "__main__":
    unittest.main()
