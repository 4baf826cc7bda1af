#pragma once

namespace marginalia::app {

/// Sets what OpenMP, BLAS, LibTorch and malloc read once, when they are loaded. A setting of the
/// user's wins.  -> whether the environment was changed, which what is loaded already has not seen.
bool prepare_process();

}  // namespace marginalia::app
