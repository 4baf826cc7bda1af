# Warnings for our own targets, never exported.
add_library(marginalia_warnings INTERFACE)
target_compile_options(marginalia_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  # GCC 12 sees overlapping copies inside std::string that are not there (GCC bug 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
  # Later ones see copies past the end inside std::string and std::vector<bool>::reserve() (which
  # torch::autograd::Function::apply calls) that are not there; GCC 12 goes on looking for real ones.
  "$<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_GREATER_EQUAL:$<CXX_COMPILER_VERSION>,13>>:-Wno-array-bounds;-Wno-stringop-overflow>")
