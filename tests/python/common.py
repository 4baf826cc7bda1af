"""What the tests of the module share."""
import itertools
import pathlib
import tempfile
import unittest

import numpy

ISING = {"type": "ising", "sides": [2, 3], "boundary": "open", "coupling": 0.3, "field": 0.1}
NETWORK = {"type": "mlp", "hidden": 16, "layers": 1}


def spec(energy, **more):
    return {"marginalia": 2, "seed": 3, "energy": energy, "network": NETWORK, "family": {"type": "mam"},
            "training": {"steps": 4, "batch_size": 8}, "evaluation": {"metrics": [], "samples": 0}, **more}


def states(variables, levels=2):
    """All of them, the last variable fastest."""
    return numpy.array(list(itertools.product(range(levels), repeat=variables)))


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
