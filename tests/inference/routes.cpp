// Whoever needs an answer of a certain kind asks by its route: names of estimators mean nothing.
#include "factors.h"
#include "leaning.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include <marginalia/inference/certify.h>
#include <marginalia/inference/conformal.h>
#include <marginalia/inference/enumeration.h>
#include <marginalia/inference/routed.h>

using namespace marginalia;
using torch::Tensor;

namespace {

constexpr const char* kSpins = R"({"type": "ising", "side": 3, "coupling": 0.35, "field": 0.1})";

/// Another family under names of its own; what it is asked by goes through the same change.
class Renamed final : public Family {
 public:
  explicit Renamed(const Family& of) : of_(of) {}
  const StateSpace& space() const override { return of_.space(); }
  std::vector<Capability> capabilities() const override {
    auto all = of_.capabilities();
    for (auto& c : all)
      c.estimator = "by " + c.estimator;
    return all;
  }
  void step(Step&) override {}
  std::vector<ParameterGroup> parameters() override { return {}; }
  void visit(StateVisitor&) override {}
  void set_training(bool) override {}

 private:
  Answer compute_answer(const Query& query, Stream& stream) const override {
    auto asked = query;
    asked.estimator = query.estimator.substr(3);
    return of_.answer(asked, stream);
  }
  const Family& of_;
};

}  // namespace

TEST_CASE("certificates and routed answers are the same whatever estimators are called") {
  const auto energy = test::make<Energy>(kSpins);
  const EnumerationOracle truth(*energy);
  test::Leaning family(*energy);
  family.truth = &truth;
  family.noise = 0.4;
  const Renamed renamed(family);
  CHECK_FALSE(renamed.offers(QueryKind::kLogMarginal, "one_pass"));

  CertifySettings settings;
  settings.samples = 64;
  settings.exact_width = 0;  // the network alone
  settings.base_seconds = 0;
  auto x = energy->space().empty()[0].clone();
  x[0] = x[4] = 1;
  Certificate made[2];
  Tensor routed[2];
  int n = 0;
  for (const Family* asked :
       {static_cast<const Family*>(&family), static_cast<const Family*>(&renamed)}) {
    Streams streams(4);
    Certifier certifier(*asked, energy.get(), settings);
    made[n] = certifier.certify(x, {}, streams.at("certify"));
    routed[n] =
        Routed(*asked, *energy, 1).log_marginal(x.unsqueeze(0), {}, streams.at("routed")).value;
    ++n;
  }
  CHECK(made[0].route == "network");
  CHECK(made[0].lower == made[1].lower);
  CHECK(made[0].upper == made[1].upper);
  CHECK(made[0].passes == made[1].passes);
  CHECK(routed[0].equal(routed[1]));
}

TEST_CASE("conformal radii are read back as they were written, and from nothing else") {
  const ConformalRadii radii{
      .confidence = 0.9, .law = "any", .bins = {{0, 3, 0.25, 40}, {4, 9, INFINITY, 2}}};
  const auto read = ConformalRadii::from_json(radii.to_json());
  REQUIRE(read);
  CHECK(read->confidence == 0.9);
  CHECK(read->law == "any");
  CHECK(read->radius(0) == 0.25);
  CHECK(read->radius(3) == 0.25);
  CHECK_FALSE(read->radius(4));  // too few were seen
  CHECK_FALSE(read->radius(10));
  CHECK(read->to_json() == radii.to_json());
  for (const auto* key : {"confidence", "law", "radii"}) {
    auto other = radii.to_json();
    other.erase(key);
    CHECK_FALSE(ConformalRadii::from_json(other));
  }
  auto other = radii.to_json();
  other["radii"][0].erase("to");
  CHECK_FALSE(ConformalRadii::from_json(other));
  CHECK_FALSE(ConformalRadii::from_json(Json(3)));
}
