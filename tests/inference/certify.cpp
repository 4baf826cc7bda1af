// Certificates: the identity they rest on, how often they hold, and what they say when they cannot.
#include "factors.h"
#include "leaning.h"

#include <cmath>

#include <boost/math/distributions/binomial.hpp>

#include <marginalia/inference/certify.h>
#include <marginalia/inference/enumeration.h>

using namespace marginalia;
using torch::Tensor;

namespace {

constexpr const char* kLattice = R"({"type": "ising", "side": 3, "coupling": 0.35, "field": 0.1})";

Tensor with_unknown(const Tensor& x, double share, Stream& stream) {
  return x.masked_fill(stream.uniform(x.sizes()) < share, kUnknown);
}

/// The most failures of `trials` that a certificate of this level may show: P(more) < 1e-3.
double allowed(int trials, double delta) {
  return boost::math::quantile(boost::math::complement(boost::math::binomial(trials, delta), 1e-3));
}

/// How many of `trials` certificates of log p(x_S) do not hold the truth.
int failures(Certifier& certifier, const Energy& energy, int trials, double unknown,
             const std::string& name) {
  const EnumerationOracle truth(energy);
  Streams streams(21);
  int wrong = 0;
  for (int n = 0; n < trials; ++n) {
    const auto x = truth.sample(energy.space().empty(), streams.at(name + "/x"))[0];
    const auto partial = with_unknown(x, unknown, streams.at(name + "/x"));
    const auto exact = truth.log_marginal(partial.unsqueeze(0)).item<double>();
    wrong += !certifier.certify(partial, {}, streams.at(name)).holds(exact);
  }
  return wrong;
}

/// As another proposal, but scored with the mask inverted, by what is still to come too.
class Inverted final : public Proposal {
 public:
  explicit Inverted(std::unique_ptr<Proposal> right) : right_(std::move(right)) {}
  const StateSpace& space() const override { return right_->space(); }
  ChainSample draw(const Tensor& partial, const Tensor& time, Stream& stream) const override {
    auto drawn = right_->draw(partial, time, stream);
    drawn.log_prob = score(drawn.states, partial, time).log_prob;
    return drawn;
  }
  ChainScore score(const Tensor& states, const Tensor&, const Tensor& time) const override {
    // every conditional sees what is still to come
    auto sum = torch::zeros({states.size(0)}, torch::kDouble);
    for (std::int64_t i = 0; i < time.size(0); ++i) {
      if (time[i].item<std::int64_t>() < 0) continue;
      auto rest = states.clone();
      rest.select(1, i).fill_(kUnknown);
      const auto alone = torch::full_like(time, -1).index_put_({torch::tensor(i)}, 0);
      sum += right_->score(states, rest, alone).log_prob;
    }
    return {sum, 1};
  }

 private:
  std::unique_ptr<Proposal> right_;
};

CertifySettings few(std::int64_t samples, double exact_width = 0) {
  CertifySettings settings;
  settings.width = 0;
  settings.samples = samples;
  settings.base_samples = 256;
  settings.exact_width = exact_width;
  return settings;
}

}  // namespace

TEST_CASE("both identities hold by enumeration, and the two means enclose the error") {
  const auto energy = test::make<Energy>(kLattice);
  test::Leaning family(*energy);
  family.noise = 0.7;
  const auto proposal = make_proposal(family);
  Streams streams(2);
  const auto full = all_states(energy->space());
  const auto log_f = energy->log_density(full);
  for (int trial = 0; trial < 6; ++trial) {
    const auto partial = with_unknown(full[37 * trial], 0.3 + 0.1 * trial, streams.at("mask"));
    const auto fits = (full == partial).logical_or(partial == kUnknown).all(1);
    const auto rows = full.index({fits});
    const auto here = log_f.index({fits});
    const auto time = streams.at("order").permutations(1, 9)[0].div(2, "floor");
    const auto log_q =
        proposal->score(rows, partial.expand_as(rows), time.masked_fill(partial != kUnknown, -1))
            .log_prob;
    const auto log_sum = here.logsumexp(0).item<double>();
    CHECK(log_q.exp().sum().item<double>() == doctest::Approx(1).epsilon(1e-12));
    CHECK(((here - log_q) + log_q).logsumexp(0).item<double>() ==
          doctest::Approx(log_sum).epsilon(1e-12));
    const auto log_p = here - log_sum;
    CHECK((log_p + log_q - here).logsumexp(0).item<double>() ==
          doctest::Approx(-log_sum).epsilon(1e-12));
    const auto log_weight = here - log_q;  // E_q <= log f(s) <= E_p
    CHECK((log_q.exp() * log_weight).sum().item<double>() <= log_sum + 1e-12);
    CHECK((log_p.exp() * log_weight).sum().item<double>() >= log_sum - 1e-12);
  }
}

TEST_CASE("a proposal's draws have the law that it scores") {
  const auto energy = test::make<Energy>(kLattice);
  const test::Leaning family(*energy);
  const auto proposal = make_proposal(family);
  Streams streams(3);
  auto partial = energy->space().empty();
  partial[0][4] = 1;
  const auto time = torch::tensor({0, 1, -1, 1, -1, 2, -1, 2, 0}, torch::kLong);
  const auto rows = partial.repeat({4000, 1});
  const auto drawn = proposal->draw(rows, time, streams.at("a"));
  CHECK((drawn.states == kUnknown).equal((time < 0).logical_and(partial[0] != 1).expand_as(rows)));
  CHECK(torch::allclose(proposal->score(drawn.states, rows, time).log_prob, drawn.log_prob, 1e-9,
                        1e-6));
  // E[1 / q] over the 2^6 states that may come
  CHECK((-drawn.log_prob).exp().mean().item<double>() == doctest::Approx(64).epsilon(0.05));
}

TEST_CASE("certificates hold as often as they promise, whatever the network, and when one stops") {
  const auto energy = test::make<Energy>(kLattice);
  test::Leaning family(*energy);
  const int trials = 80;
  for (const double noise : {0.0, 1.0, 3.0})
    for (const double unknown : {0.3, 0.9})
      for (const bool stop_by_width : {false, true}) {
        CAPTURE(noise);
        CAPTURE(unknown);
        CAPTURE(stop_by_width);
        family.noise = noise;
        auto settings = few(stop_by_width ? 200 : 24);
        settings.confidence = 0.8;
        settings.width = stop_by_width ? 0.4 : 0;
        Certifier certifier(family, energy.get(), settings);
        CHECK(failures(certifier, *energy, trials, unknown, "q") <= allowed(trials, 0.2));
      }
}

TEST_CASE("with a chain scored by the wrong mask they fail, so that the test above can tell") {
  const auto energy = test::make<Energy>(kLattice);
  const test::Leaning family(*energy);
  auto settings = few(200);
  settings.confidence = 0.8;
  Certifier certifier(std::make_unique<Inverted>(make_proposal(family)), *energy, settings);
  CHECK(failures(certifier, *energy, 40, 0.9, "q") > allowed(40, 0.2));
}

TEST_CASE("particles steered by good marginals narrow what bad conditionals leave wide") {
  const auto energy = test::make<Energy>(kLattice);
  const EnumerationOracle truth(*energy);
  test::Leaning family(*energy);
  family.noise = 2;
  family.truth = &truth;
  auto settings = few(300);
  auto partial = energy->space().empty()[0];
  partial[4] = 0;
  const auto exact = truth.log_sum(partial.unsqueeze(0)).item<double>();
  double widths[2];
  for (const std::int64_t particles : {0, 16}) {
    CAPTURE(particles);
    settings.particles = particles;
    Streams streams(14);
    Certifier certifier(family, energy.get(), settings);
    const auto certificate = certifier.certify_sum(partial, streams.at("a"));
    CHECK(certificate.holds(exact));
    widths[particles > 0] = certificate.width();
  }
  CHECK(widths[1] < 0.5 * widths[0]);
  // and they hold as often as they promise
  settings = few(96);
  settings.confidence = 0.8;
  Certifier certifier(family, energy.get(), settings);
  CHECK(failures(certifier, *energy, 60, 0.9, "particles") <= allowed(60, 0.2));
}

TEST_CASE("intervals hold whatever part is summed out, and narrow graphs are exact") {
  const auto energy =
      test::make<Energy>(R"({"type": "ising", "side": 4, "coupling": 0.3, "field": 0.1})");
  const EnumerationOracle truth(*energy);
  test::Leaning family(*energy);
  family.noise = 0.5;
  Streams streams(4);
  auto partial = energy->space().empty()[0];
  partial[5] = 1;
  const auto exact = truth.log_marginal(partial.unsqueeze(0)).item<double>();
  double width = INFINITY;
  for (const double exact_width : {0, 2, 16}) {
    CAPTURE(exact_width);
    Certifier certifier(family, energy.get(), few(64, exact_width));
    const auto certificate = certifier.certify(partial, {}, streams.at("a"));
    CHECK(certificate.holds(exact));
    width = certificate.width();
    CHECK(certificate.route == (exact_width == 0   ? "network"
                                : exact_width == 2 ? "mixed"
                                                   : "exact"));
  }
  CHECK(width < 1e-8);
}

TEST_CASE("the marginal head does not move a certificate") {
  const auto energy = test::make<Energy>(kLattice);
  test::Leaning family(*energy);
  const auto ask = [&](double offset) {
    family.offset = offset;
    Streams streams(6);
    Certifier certifier(family, energy.get(), few(64));
    auto partial = energy->space().empty()[0];
    partial[3] = 0;
    return certifier.certify(partial, {}, streams.at("a")).to_json().dump();
  };
  CHECK(ask(0) == ask(3));
}

TEST_CASE("conditional queries have intervals, and so has log Z") {
  const auto energy = test::make<Energy>(kLattice);
  const EnumerationOracle truth(*energy);
  const test::Leaning family(*energy);
  Streams streams(7);
  auto settings = few(4000);
  settings.width = 0.3;
  Certifier certifier(family, energy.get(), settings);
  auto given = energy->space().empty()[0];
  given[0] = 1;
  auto x = given.clone();
  x[1] = x[3] = 0;
  const auto exact =
      (truth.log_sum(x.unsqueeze(0)) - truth.log_sum(given.unsqueeze(0))).item<double>();
  const auto certificate = certifier.certify(x, given, streams.at("a"));
  CHECK(certificate.holds(exact));
  CHECK(certificate.stopped == "width");
  CHECK(certificate.width() <= 0.3);
  CHECK(certificate.confidence == doctest::Approx(0.95));
  CHECK(certificate.upper_by == "coupling from the past");
  CHECK(certifier.log_z(streams.at("a")).holds(truth.log_z()));
  CHECK(certifier.certify(given, given, streams.at("a")).exact());
  auto clash = x.clone();
  clash[0] = 0;
  CHECK(test::refusal([&] { certifier.certify(clash, given, streams.at("a")); }) ==
        "what is asked differs from what is given in a variable that is given");
  CHECK(certifier.certify(energy->space().empty()[0], {}, streams.at("a")).holds(0));
}

TEST_CASE("what a time limit allows to sum out is exact") {
  const auto energy = test::make<Energy>(kLattice);
  const EnumerationOracle truth(*energy);
  const test::Leaning family(*energy);
  const auto x = energy->space().empty()[0];
  auto settings = few(64, 2);  // wider than messages of two bits
  Streams streams(9);
  CHECK(!Certifier(family, energy.get(), settings).certify_sum(x, streams.at("a")).exact());
  settings.seconds = 10;
  const auto sum = Certifier(family, energy.get(), settings).certify_sum(x, streams.at("a"));
  CHECK(sum.exact());
  CHECK(sum.holds(truth.log_z()));
  settings.exact_width = 0;  // the network alone
  CHECK(!Certifier(family, energy.get(), settings).certify_sum(x, streams.at("a")).exact());
}

TEST_CASE("what planar answers can sum is certified as exact") {
  const auto energy = test::make<Energy>(R"({"type": "spin_glass", "side": 24})");
  const test::Leaning family(*energy);
  Streams streams(9);
  Certifier certifier(family, energy.get(), few(64, 2));
  auto x = energy->space().empty()[0];
  const auto log_z = certifier.certify_sum(x, streams.at("a"));
  CHECK(log_z.exact());
  CHECK(log_z.holds(energy->exact()->log_z()));
  x.index_put_({torch::tensor({100, 101, 125})}, 1);
  const auto sum = certifier.certify(x, {}, streams.at("a"));
  CHECK(sum.exact());
  CHECK(sum.holds(energy->exact()->log_marginal(x.unsqueeze(0)).item<double>()));
}

TEST_CASE("what cannot be certified is said") {
  Streams streams(8);
  FactorModel model{std::vector<std::int64_t>(6, 3), {}};  // three values: nothing to couple
  for (std::int64_t i = 0; i < 6; ++i)
    for (std::int64_t j = 0; j < i; ++j)
      model.factors.push_back({{j, i}, {0, 0.3, 0, 0.1, 0, 0.4, 0, 0, -0.2}});
  model.factors.push_back({{0}, {0, 0.5, -INFINITY}});
  FactorModel wide = model;
  wide.cardinalities.assign(14, 3);
  for (std::int64_t i = 6; i < 14; ++i)
    for (std::int64_t j = 0; j < i; ++j)
      wide.factors.push_back({{j, i}, {0, 0.3, 0, 0.1, 0, 0.4, 0, 0, -0.2}});
  const test::Factored energy(wide, 1e-9);
  const test::Leaning family(energy);

  Certifier certifier(family, &energy, few(64, 2));
  auto x = energy.space().empty()[0];
  x[1] = 2;
  const auto sum = certifier.certify_sum(x, streams.at("a"));
  CHECK(sum.upper == INFINITY);
  CHECK(std::isfinite(sum.lower));
  CHECK(sum.to_json().at("upper").is_null());
  CHECK(sum.reason.find("its variables are not binary") != sum.reason.npos);
  CHECK(sum.reason.find("no oracle: ") != sum.reason.npos);

  x[0] = 2;  // forbidden
  const auto zero = certifier.certify_sum(x, streams.at("a"));
  CHECK(zero.lower == -INFINITY);
  CHECK(zero.upper == -INFINITY);
  CHECK(zero.to_json().at("log_marginal") == "-inf");
  CHECK(Certificate::from_json(zero.to_json()).upper == -INFINITY);
  CHECK(certifier.certify(x, {}, streams.at("a")).to_json().at("upper") == "-inf");
  auto more = x.clone();
  more[5] = 1;
  CHECK(test::refusal([&] { certifier.certify(more, x, streams.at("a")); }) ==
        "what is given has probability zero");

  auto hurried = few(64, 2);
  hurried.seconds = 1e-12;
  x[0] = kUnknown;
  const auto late = Certifier(family, &energy, hurried).certify_sum(x, streams.at("a"));
  CHECK(late.stopped == "seconds");
  CHECK(late.to_json().at("lower").is_null());
  CHECK(late.reason.find("the budget ended before a chain was drawn") != late.reason.npos);
}

TEST_CASE("chains that all end in forbidden states certify nothing from below") {
  class Parity final : public Energy {  // f = 1 for one of 2^12 states
   public:
    const StateSpace& space() const override { return space_; }

   private:
    Tensor compute_log_density(const Tensor& x) const override {
      return torch::where(x.all(1), torch::zeros({x.size(0)}, torch::kDouble), -INFINITY);
    }
    StateSpace space_ = StateSpace::uniform(12, 2);
  };
  class Even final : public Family {
   public:
    const StateSpace& space() const override { return space_; }
    std::vector<Capability> capabilities() const override { return capabilities_of_conditionals(); }
    void step(Step&) override {}
    std::vector<ParameterGroup> parameters() override { return {}; }
    void visit(StateVisitor&) override {}
    void set_training(bool) override {}

   private:
    Answer compute_answer(const Query& query, Stream& stream) const override {
      return answer_from_conditionals(
          [](const Tensor& s) {
            return torch::full({s.size(0), s.size(1), 2}, -std::log(2.0));
          },
          query, stream);
    }
    StateSpace space_ = StateSpace::uniform(12, 2);
  };
  const Parity energy;
  const Even family;
  Streams streams(9);
  Certifier certifier(family, &energy, few(32));
  const auto sum = certifier.certify_sum(energy.space().empty()[0], streams.at("a"));
  CHECK(sum.lower == -INFINITY);
  CHECK(sum.upper > 0);  // f(x_S) = 1 is enclosed from above, by the oracle's samples
  CHECK(sum.reason == "all of 32 chains ended in states where f is 0");
}

TEST_CASE("a model is its own target where there is no energy") {
  const auto energy = test::make<Energy>(kLattice);
  test::Leaning family(*energy);
  family.noise = 0.5;
  const auto proposal = make_proposal(family);
  const auto all = all_states(energy->space());
  const auto joint =
      proposal->score(all, torch::full_like(all, kUnknown), torch::arange(9)).log_prob;
  CHECK(joint.logsumexp(0).item<double>() == doctest::Approx(0).epsilon(1e-9));
  Streams streams(10);
  Certifier certifier(family, nullptr, few(400));
  auto x = energy->space().empty()[0];
  x[2] = 1;
  x[7] = 0;
  const auto exact = joint.masked_select((all == x).logical_or(x == kUnknown).all(1)).logsumexp(0);
  const auto certificate = certifier.certify(x, {}, streams.at("a"));
  CHECK(certificate.lower < exact.item<double>());
  CHECK(certificate.lower > exact.item<double>() - 0.3);
  CHECK(certificate.to_json().at("upper").is_null());
  CHECK(certificate.reason.find("does not begin its forward order") != certificate.reason.npos);
  x = energy->space().empty()[0];
  x[0] = 1;
  const auto first = joint.masked_select((all == x).logical_or(x == kUnknown).all(1)).logsumexp(0);
  const auto beginning = certifier.certify(x, {}, streams.at("a"));
  CHECK(beginning.route == "exact");
  CHECK(beginning.log_marginal == doctest::Approx(first.item<double>()).epsilon(1e-9));
}
