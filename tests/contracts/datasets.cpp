#include "contracts.h"

#include <marginalia/dataset.h>

#include "splits.h"

using namespace marginalia;

namespace {

template <class F>
void for_splits(const Dataset& dataset, F check) {
  for (const auto split : test::kSplits) {
    const std::string split_name(to_string(split));
    CAPTURE(split_name);
    check(dataset, split);
  }
}

/// Calls `check` with every dataset and split, built from its example and tests/data; and with a
/// table of variables of 2, 3 and 5 values.
template <class F>
void for_each_split(F check) {
  const auto& registry = test::loaded_registry();
  for (const auto& [name, entry] : registry.all<Dataset>()) {
    CAPTURE(name);
    const auto dataset = test::make_example<Dataset>(entry.description);
    if (dataset) for_splits(*dataset, check);
  }
  const auto mixed =
      registry.make<Dataset>(Spec::from_text(R"({"type": "table", "name": "mixed"})", "mixed.json",
                                             {MARGINALIA_TEST_DATA, MARGINALIA_TEST_DATA}));
  CHECK(mixed->space() == StateSpace{{2, 3, 5}, {3}});
  for_splits(*mixed, check);
}

TEST_CASE("a dataset reads no value that a variable does not have") {
  for_each_split([](const Dataset& dataset, Split split) {
    const auto& space = dataset.space();
    if (!space.alphabet.empty() || space.levels() > 10) return;  // one digit a variable
    const auto text = dataset.to_text(dataset.rows(split, torch::arange(1))[0]);
    std::vector<std::size_t> places;
    for (std::size_t at = 0; at < text.size(); ++at)
      if (text[at] != '/') places.push_back(at);
    REQUIRE(std::int64_t(places.size()) == space.dimension());
    for (const auto i : test::some(space.dimension(), 20)) {
      auto beyond = text;
      beyond[places[std::size_t(i)]] = char('0' + space.cardinalities[std::size_t(i)]);
      CAPTURE(beyond);
      CHECK_THROWS_AS(dataset.from_text({beyond}), SpecError);
    }
  });
}

TEST_CASE("every dataset gives rows of its space") {
  for_each_split([](const Dataset& dataset, Split split) {
    const auto& space = dataset.space();
    test::check_space(space);
    REQUIRE(dataset.size(split) > 0);
    const auto B = std::min<std::int64_t>(dataset.size(split), 8);
    const auto rows = dataset.rows(split, torch::arange(B));
    CHECK(rows.sizes() == at::IntArrayRef{B, space.dimension()});
    CHECK((rows.scalar_type() == torch::kLong));
    CHECK(rows.is_cpu());
    CHECK_FALSE(dataset.to_text(rows[0]).empty());
    CHECK(dataset.rows(split, torch::empty({0}, torch::kLong)).sizes() ==
          at::IntArrayRef{0, space.dimension()});
  });
}

TEST_CASE("a dataset's row depends on its index and the epoch's key alone") {
  for_each_split([](const Dataset& dataset, Split split) {
    const auto B = std::min<std::int64_t>(dataset.size(split), 8);
    const auto last = dataset.size(split) - 1;
    const auto indices =
        torch::cat({torch::arange(B), torch::tensor({last, std::int64_t{0}, last})});
    const auto before = indices.clone();
    for (const std::uint64_t key : {0ull, 7ull, ~0ull}) {
      CAPTURE(key);
      const auto rows = dataset.rows(split, indices, key);
      CHECK(dataset.rows(split, indices, key).equal(rows));
      CHECK(dataset.rows(split, indices.flip(0), key).equal(rows.flip(0)));
      for (std::int64_t b = 0; b < indices.numel(); ++b)
        CHECK(dataset.rows(split, indices.slice(0, b, b + 1), key)[0].equal(rows[b]));
      for (const auto& answer :
           test::from_threads([&] { return dataset.rows(split, indices, key); }))
        CHECK(answer.equal(rows));
    }
    CHECK(indices.equal(before));
  });
}

TEST_CASE("what a dataset writes of a row, or of a part of it, it reads back") {
  for_each_split([](const Dataset& dataset, Split split) {
    const auto B = std::min<std::int64_t>(dataset.size(split), 8);
    const auto rows = dataset.rows(split, torch::arange(B));
    Stream stream(1, "contracts");
    const auto partial = rows.masked_fill(stream.uniform(rows.sizes()) < 0.5, kUnknown);
    for (const auto& states : {rows, partial})
      for (std::int64_t b = 0; b < B; ++b) {
        const auto text = dataset.to_text(states[b]);
        CAPTURE(text);
        CHECK(dataset.from_text({text}).equal(states[b]));
      }
    const auto svg = dataset.to_svg(rows[0]);
    CHECK((svg.empty() || (svg.find("<svg") != svg.npos && svg.find("</svg>") != svg.npos)));
  });
}

TEST_CASE("a dataset refuses indices that are not there") {
  for_each_split([](const Dataset& dataset, Split split) {
    const auto size = dataset.size(split);
    const auto refused = fmt::format("{}: indices must be 0 to {} in {}", dataset.label(), size - 1,
                                     to_string(split));
    const auto ask = [&](const torch::Tensor& indices) {
      return test::refusal([&] { dataset.rows(split, indices); });
    };
    CHECK(ask(torch::tensor({size})) == refused);
    CHECK(ask(torch::tensor({std::int64_t{-1}})) == refused);
    CHECK(ask(torch::zeros({1})) == dataset.label() + ": indices must be int64 [B]");
  });
}

}  // namespace
