import marginalia


@marginalia.log_density(variables=5, values=(-1, 1))
def chain(s, coupling=0.3):
    return coupling * (s[:, 1:] * s[:, :-1]).sum(1)
