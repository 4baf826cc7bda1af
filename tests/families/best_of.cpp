#include <cmath>

#include <fmt/format.h>

#include "brute_force.h"
#include "marginalia_test.h"

using namespace marginalia;

namespace {

/// Independent variables, which know little, and two circuits.
std::string three(const std::string& keep, const std::string& more = "") {
  return fmt::format(R"({{"type": "best_of", "keep": "{}", "every_steps": 2, {}
      "families": ["independent", {{"type": "circuit", "latents": 2}},
                   {{"type": "circuit", "latents": 3, "em": "full_batch"}}]}})",
                     keep, more);
}

Tensor log_p_of(const std::string& family, int steps, const Tensor& x) {
  return test::TrainedOnRows(family, steps).log_p(x);
}

}  // namespace

TEST_CASE("of several exact families the best by validation answers, or a mixture: exactly") {
  const auto rows = test::mixed_rows();
  for (const std::string keep : {"best", "mixture"}) {
    CAPTURE(keep);
    const test::TrainedOnRows model(three(keep), 30);
    test::check_exact(model.family());
    const auto about = model.family().about();
    CHECK(about.at("keep") == keep);
    const auto& members = about.at("members");
    REQUIRE(members.size() == 3);
    CHECK(members[1].at("name") == "circuit");
    CHECK(members[2].at("name") == "circuit 2");
    double weights = 0, best = -INFINITY;
    std::string name;
    for (const auto& member : members) {
      weights += member.at("weight").get<double>();
      const auto value = member.at("valid_log_likelihood").get<double>();
      if (value > best) name = member.at("name");
      best = std::max(best, value);
    }
    CHECK(weights == doctest::Approx(1));
    CHECK(about.at("kept") == name);
    CHECK(name != "independent");
    // The validation rows are the training rows here: what was said of them is what is answered.
    const auto mean = model.log_p(rows).mean().item<double>();
    if (keep == "best")
      CHECK(mean == doctest::Approx(best).epsilon(1e-9));
    else
      CHECK(mean >= best - 1e-9);
  }
}

TEST_CASE("weights of a mixture are means over rows drawn with replacement") {
  const auto rows = test::mixed_rows();
  const auto R = rows.size(0);
  const auto a = log_p_of(R"({"type": "independent"})", 1, rows),
             b = log_p_of(R"({"type": "chow_liu"})", 1, rows);
  const auto w = torch::arange(1, 1000, torch::kDouble).div(1000).unsqueeze(1);
  const auto mixed = torch::logaddexp(a + w.log(), b + (1 - w).log());  // [w, R]
  torch::manual_seed(1);
  std::vector<double> found;
  for (int n = 0; n < 400; ++n) {
    const auto drawn = mixed.index_select(1, torch::randint(R, {R}));
    found.push_back(w[drawn.mean(1).argmax().item<std::int64_t>()].item<double>());
  }
  const auto truth = torch::tensor(found, torch::kDouble);
  const auto error = truth.std().item<double>() * std::sqrt(1.0 / 16 + 1.0 / 400);
  const test::TrainedOnRows model(R"({"type": "best_of", "every_steps": 1,
                                      "families": ["independent", "chow_liu"]})",
                                  40);
  const auto about = model.family().about();
  const auto weight = about.at("members")[0].at("weight").get<double>();
  const auto expected = truth.mean().item<double>();
  CAPTURE(expected);
  CAPTURE(error);
  CHECK(error < 0.1);
  CHECK(std::abs(weight - expected) < 3 * error + 0.005);
}

TEST_CASE("more families have what the first leave, and the last to stop learning ends training") {
  const auto of = [](const std::string& families, const std::string& more, int steps) {
    return test::TrainedOnRows(fmt::format(R"({{"type": "best_of", "every_steps": 1, "patience": 3,
                         "families": [{}], "more": [{}]}})",
                                           families, more),
                               steps);
  };
  const auto trained = [](const test::TrainedOnRows& model) {
    const auto about = model.family().about();
    std::string which;
    for (const auto& member : about.at("members"))
      which += member.at("valid_log_likelihood").is_number() ? "+" : "-";
    return which;
  };
  const std::string tree = R"("chow_liu")", circuit = R"({"type": "circuit", "latents": 2})";
  CHECK(of(tree, "", 1000).steps_taken == 4);
  CHECK(of(tree, tree + "," + tree, 1000).steps_taken == 12);
  CHECK(trained(of(tree, circuit + "," + circuit, 1000)) == "+++");
  CHECK(trained(of(circuit, circuit + "," + circuit, 10)) == "+--");
  CHECK(trained(of(tree + "," + tree, circuit, 6)) == "++-");
}

TEST_CASE("best_of finds the most probable completion and proves it") {
  for (const std::string keep : {"best", "mixture"}) {
    CAPTURE(keep);
    test::check_most_probable(test::TrainedOnRows(three(keep), 30).family());
  }
  test::check_most_probable(test::TrainedOnRows(R"({"type": "best_of", "every_steps": 2,
                              "families": ["chow_liu", "independent"]})",
                                                30)
                                .family());
}

TEST_CASE("a member alone is what it is without the others") {
  const auto rows = test::mixed_rows();
  const std::string one = R"({"type": "best_of", "every_steps": 1000,
                              "families": [{"type": "mixture_of_trees", "components": 1}]})";
  // One tree: no random start that could differ.
  CHECK(log_p_of(one, 4, rows)
            .allclose(log_p_of(R"({"type": "mixture_of_trees", "components": 1})", 4, rows)));
}

TEST_CASE("what was best on the way answers in the end") {
  // A learning rate that soon is too large for what it has found.
  const std::string wild = R"({"type": "best_of", "every_steps": 1, "patience": 1000,
      "moving_average": 0, "families": [{"type": "continuous_mixture", "latents": 2,
        "hidden": 8, "layers": 1, "points": 16, "points_test": 16}]})";
  const test::TrainedOnRows model(wild, 60, R"("clip_norm": 0)");
  const auto about = model.family().about();
  CHECK(model.log_p(test::mixed_rows()).mean().item<double>() ==
        doctest::Approx(about.at("members")[0].at("valid_log_likelihood").get<double>())
            .epsilon(1e-6));
}

TEST_CASE("best_of says what it lacks") {
  const auto refused = [](const std::string& family) {
    return test::refusal([&] { test::TrainedOnRows(family, 1); });
  };
  const std::string where = "family best_of (plugin best_of): ";
  CHECK(refused(R"({"type": "best_of"})") == where + "give \"families\": a list of one at least");
  CHECK(
      refused(R"({"type": "best_of", "families": ["circus"]})").find("did you mean \"circuit\"") !=
      std::string::npos);
}
