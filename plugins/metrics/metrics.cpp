/// \file
/// The metrics of the tree, each in its own file, in one library: apart, half of their compile time
/// would be the headers that they share.
#include <marginalia/plugin.h>

MARGINALIA_PLUGIN_OF(baselines, certificates, conformal, consistency, copies, cost, coverage,
                     dependencies, error_bracket, held_out_cells, importance, likelihood, marginals,
                     observables, score, single_marginals, terminal_variation);
