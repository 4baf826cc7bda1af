/// \file
/// The metrics of the tree, each in its own file, in one library: apart, half of their compile time
/// would be the headers that they share.
#include <marginalia/plugin.h>

MARGINALIA_PLUGIN_OF(certificates, conformal, consistency, cost, coverage, error_bracket,
                     importance, likelihood, marginals, observables, score, single_marginals,
                     terminal_variation);
