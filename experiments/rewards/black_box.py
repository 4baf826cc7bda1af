"""A lattice of 4 x 4 spins of which a model is told log f alone: no factors, no single changes."""
import marginalia

SIDE = 4


@marginalia.log_density(variables=SIDE * SIDE, values=(-1, 1), shape=(SIDE, SIDE))
def lattice(s, coupling=0.25):
    """coupling times the sum over neighbours.  s: [B, 16] of -1 and 1  ->  [B]."""
    s = s.reshape(-1, SIDE, SIDE)
    return coupling * ((s[:, 1:] * s[:, :-1]).sum((1, 2)) + (s[:, :, 1:] * s[:, :, :-1]).sum((1, 2)))
