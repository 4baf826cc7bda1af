#pragma once

#include <string>
#include <vector>

#include <marginalia/params.h>

namespace marginalia {

/// Whether a list of words that are choices may be given as one word: where its default is one.
inline bool is_word_or_list(const std::vector<std::string>& by_default,
                            const Field<std::string>& field) {
  return by_default.size() == 1 && !field.one_of.empty();
}

}  // namespace marginalia
