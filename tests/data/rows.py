import marginalia
import numpy


def rows(count=40):
    return marginalia.Dataset(numpy.random.default_rng(0).integers(0, 3, (count, 4)), levels=3)
