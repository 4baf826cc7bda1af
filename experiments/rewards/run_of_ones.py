"""log f(x) = weight * the longest run of ones in x, as longest_run.py has it, in the program's own process."""
import marginalia
import numpy


@marginalia.log_density(variables=12, levels=2)
def longest_run(x, weight=0.8):
    """x: int64 [B, D]  ->  [B]."""
    longest = run = numpy.zeros(len(x), int)
    for column in x.T:
        run = (run + 1) * column
        longest = numpy.maximum(longest, run)
    return weight * longest
