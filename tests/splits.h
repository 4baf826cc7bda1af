#pragma once

#include <marginalia/dataset.h>

namespace marginalia::test {

inline constexpr Split kSplits[] = {Split::kTrain, Split::kValid, Split::kTest};

}  // namespace marginalia::test
