#include "tokens.h"

#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include <fmt/format.h>

#include <marginalia/error.h>

namespace marginalia::molecules {

namespace {

constexpr std::size_t kMaxTokens = 255;  // and the padding: what a byte can tell apart

/// Numbers tokens as they come; many threads ask it.
class Vocabulary {
 public:
  std::size_t number(const std::string& token) {
    auto& known = known_.local();
    if (const auto at = known.find(token); at != known.end()) return at->second;
    const std::lock_guard lock(mutex_);
    const auto number = numbers_.try_emplace(token, numbers_.size()).first->second;
    known.emplace(token, number);
    return number;
  }

  /// The tokens in order, and the place there of each number.
  std::vector<std::string> sorted(std::vector<unsigned char>& places) const {
    std::vector<std::string> tokens;
    for (const auto& [token, number] : numbers_)
      tokens.push_back(token);
    if (tokens.size() > kMaxTokens)
      throw SpecError(fmt::format("the molecules have {} different tokens; a dataset can have {}",
                                  tokens.size(), kMaxTokens));
    std::ranges::sort(tokens);
    places.resize(tokens.size());
    for (std::size_t i = 0; i < tokens.size(); ++i)
      places[numbers_.at(tokens[i])] = static_cast<unsigned char>(i);
    return tokens;
  }

 private:
  using Numbers = std::unordered_map<std::string, std::size_t>;
  std::mutex mutex_;
  Numbers numbers_;
  tbb::enumerable_thread_specific<Numbers> known_;
};

}  // namespace

Rows tokenise(const std::vector<std::string_view>& texts, const std::string& padding,
              const Tokenise& cut) {
  Rows rows;
  rows.codes.resize(texts.size());
  rows.faults.resize(texts.size());
  Vocabulary vocabulary;
  tbb::parallel_for(std::size_t{0}, texts.size(), [&](std::size_t i) {
    try {
      for (const auto& token : cut(texts[i]))
        if (token != padding) rows.codes[i] += static_cast<char>(vocabulary.number(token));
    } catch (const std::exception& e) {
      rows.codes[i].clear();
      rows.faults[i] = e.what();
    }
  });
  std::vector<unsigned char> places;
  rows.alphabet = vocabulary.sorted(places);
  rows.alphabet.push_back(padding);
  for (auto& code : rows.codes) {
    for (auto& c : code)
      c = static_cast<char>(places[static_cast<unsigned char>(c)]);
    rows.longest = std::max<std::int64_t>(rows.longest, static_cast<std::int64_t>(code.size()));
  }
  return rows;
}

}  // namespace marginalia::molecules
