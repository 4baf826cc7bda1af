"""What people hand over as states."""
import unittest

import numpy

from marginalia._states import Space, from_levels, to_levels

SPACE = Space({"cardinalities": [2, 3, 2], "shape": [3], "alphabet": [], "names": []})
SPINS = Space({"cardinalities": [2, 2, 2], "shape": [3], "alphabet": [], "names": []})


class States(unittest.TestCase):
    def same(self, x, wanted, space=SPACE, **more):
        levels, single = to_levels(x, space, **more)
        self.assertEqual(levels.dtype, numpy.int64)
        self.assertTrue(levels.flags.c_contiguous)
        self.assertEqual((levels[0] if single else levels).tolist(), wanted)
        return levels

    def test_unknown_is_none_nan_masked_or_a_mask(self):
        self.same([0, None, 1], [0, -1, 1])
        self.same([[0, None, 1], [1, 2, None]], [[0, -1, 1], [1, 2, -1]])
        self.same(numpy.array([[0, numpy.nan, 1]]), [[0, -1, 1]])
        self.same(numpy.ma.array([[0, 7, 1]], mask=[[False, True, False]]), [[0, -1, 1]])
        self.same([[0, 2, 1]], [[-1, 2, 1]], mask=[[True, False, False]])
        self.same(numpy.zeros((0, 3), int), [])

    def test_pandas(self):
        try:
            import pandas
        except ImportError:
            self.skipTest("no pandas: install python3-pandas")
        frame = pandas.DataFrame({"a": [0, 1], "b": pandas.array([2, None], dtype="Int64"), "c": [1, 0]})
        self.same(frame, [[0, 2, 1], [1, -1, 0]])

    def test_whole_arrays_are_not_copied(self):
        x = numpy.array([[0, 2, 1], [1, 0, 0]])
        self.assertTrue(numpy.shares_memory(to_levels(x, SPACE)[0], x))

    def test_values_stand_for_levels(self):
        self.same([[-1, 1, None]], [[0, 1, -1]], space=SPINS, values=(-1, 1))
        self.same(numpy.array([[-1.0, numpy.nan, 1.0]]), [[0, -1, 1]], space=SPINS, values=(-1, 1))
        self.assertEqual(from_levels(numpy.array([[0, 1]]), (-1, 1)).tolist(), [[-1, 1]])
        with self.assertRaisesRegex(ValueError, r"variable 1 of row 0 is 0, none of values=\(-1, 1\)"):
            to_levels([[-1, 0, 1]], SPINS, values=(-1, 1))

    def test_refusals_say_what_would_be_right(self):
        for x, space, why in [
                ([[-1, 1, 1]], SPINS, r"variable 0 of row 0 is -1, .*for spins say values=\(-1, 1\)"),
                ([[0, -1, 1]], SPACE, "variable 1 of row 0 is -1, of the levels 0 to 2; what is unknown is None, NaN or masked"),
                ([[0, 1, 1], [0, 3, 1]], SPACE, "variable 1 of row 1 is 3, of the levels 0 to 2$"),
                ([[0, 1]], SPACE, r"must have the shape \(B, 3\) or \(3,\), not \(1, 2\)"),
                ([[0, 0.5, 1]], SPACE, "must hold whole numbers, not 0.5")]:
            with self.subTest(x=x), self.assertRaisesRegex(ValueError, why):
                to_levels(x, space)
        with self.assertRaisesRegex(TypeError, "not 'a'"):
            to_levels(numpy.array([[0, "a", None]], object), SPACE)


if __name__ == "__main__":
    unittest.main()
