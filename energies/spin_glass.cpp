/// \file
/// Spin glasses with couplings drawn from a seed:
///
///   log f(x) = beta (sum_<ij> J_ij s_i s_j + sum_i h_i s_i),    s = 2x - 1
///
/// J_ij is +-1 or standard normal, h_i normal. On a lattice, the model of Edwards and Anderson
/// (1975), doi:10.1088/0305-4608/5/5/017; on the complete graph with J_ij / sqrt(D), that of
/// Sherrington and Kirkpatrick (1975), doi:10.1103/PhysRevLett.35.1792. The draws come from
/// std::mt19937_64 (bonds in order, then fields), two words a Gaussian by Box and Muller, and so
/// are the same everywhere.
#include <cmath>
#include <numbers>
#include <random>

#include <fmt/format.h>
#include <torch/types.h>

#include <marginalia/inference/factored_energy.h>
#include <marginalia/plugin.h>

#include "shared/lattices/drawing.h"
#include "shared/lattices/lattice.h"

using namespace marginalia;

namespace {

class SpinGlass final : public FactoredEnergy, private Readable {
 public:
  static constexpr const char* kName = "spin_glass";
  static constexpr const char* kSummary =
      "Edwards-Anderson or Sherrington-Kirkpatrick spin glass from a seed";
  static constexpr const char* kFormula =
      "log f(x) = beta (sum_<ij> J_ij s_i s_j + sum_i h_i s_i), s = 2x - 1";
  static constexpr const char* kSource =
      "Edwards and Anderson (1975), doi:10.1088/0305-4608/5/5/017; Sherrington and Kirkpatrick "
      "(1975), doi:10.1103/PhysRevLett.35.1792";
  static constexpr const char* kExample = R"({"side": 3, "couplings": "gaussian", "field": 0.2})";

  struct Params {
    std::string model = "edwards_anderson", couplings = "pm1";
    ising::Boundary boundary;
    std::int64_t side = 8, spins = 20, instance = 0;
    std::vector<std::int64_t> sides;
    double inverse_temperature = 1, field = 0, memory = 8;
    void visit(ParamVisitor& p) {
      p("model", model,
        {.doc = "lattice, or complete graph",
         .one_of = {"edwards_anderson", "sherrington_kirkpatrick"}});
      p("couplings", couplings, {.doc = "law of J_ij", .one_of = {"pm1", "gaussian"}});
      p("instance", instance, {.doc = "seed of the couplings and fields", .min = 0});
      p("inverse_temperature", inverse_temperature, {.doc = "beta", .min = 0});
      p("field", field, {.doc = "standard deviation of h_i", .min = 0});
      p("side", side, {.doc = "L, spins along each side of a square lattice", .min = 1});
      p("sides", sides, {.doc = "spins along each side, in place of side", .min = 1});
      boundary.visit(p);
      p("spins", spins, {.doc = "D of the complete graph", .min = 2, .max = 1 << 14});
      p("memory", memory, {.doc = "GiB that exact answers may take", .min = 0});
    }
  };

  explicit SpinGlass(const Params& params)
      : FactoredEnergy(make_model(params), make_space(params), params.memory),
        beta_(params.inverse_temperature),
        planar_(make_planar(params)) {}

  Offer<Readable> readable() const override { return {this}; }
  Offer<Oracle> exact() const override {
    return planar_.oracle(*factors(), space(), [this] { return FactoredEnergy::exact(); });
  }
  Offer<PosteriorSampler> posterior() const override {
    return planar_.posterior(*factors(), space(), [this] { return FactoredEnergy::exact(); });
  }
  std::optional<KnownLogZ> known_log_z() const override {
    return planar_.known_log_z(*factors(), space(), [this] { return FactoredEnergy::exact(); });
  }

 private:
  std::string to_text(const Tensor& state) const override { return space().to_text(state); }
  Tensor from_text(const PartialText& text) const override { return state_of_text(space(), text); }
  /// sum_<ij> J_ij s_i s_j + sum_i h_i s_i, the largest at a ground state.
  Tensor raw_score(const Tensor& x) const override { return log_density(x) / beta_; }

  static bool complete(const Params& params) { return params.model == "sherrington_kirkpatrick"; }

  static ising::Shape read_shape(const Params& params) {
    return ising::read_shape(params.sides, params.side, params.boundary);
  }

  static ByPlanar make_planar(const Params& params) {
    if (complete(params)) return ByPlanar(std::nullopt, "a complete graph is not planar");
    return ising::planar_answers(ising::uniform_lattice(read_shape(params), 0, 0));
  }

  static StateSpace make_space(const Params& params) {
    if (complete(params)) return StateSpace::uniform(params.spins, 2);
    const auto sides = read_shape(params).sides;
    std::int64_t sites = 1;
    for (const auto side : sides)
      sites *= side;
    return StateSpace::uniform(sites, 2, sides);
  }

  static FactorModel make_model(const Params& params) {
    if (params.inverse_temperature <= 0) throw SpecError("\"inverse_temperature\" must be above 0");
    std::mt19937_64 random(std::uint64_t(params.instance));
    const auto uniform = [&] { return (double(random() >> 11) + 0.5) * 0x1p-53; };
    const auto gaussian = [&] {
      const auto radius = std::sqrt(-2 * std::log(uniform()));
      return radius * std::cos(2 * std::numbers::pi * uniform());
    };
    const auto draw = [&] {
      return params.couplings == "gaussian" ? gaussian() : (random() >> 63 ? 1.0 : -1.0);
    };
    FactorModel model;
    const auto beta = params.inverse_temperature;
    const auto bond = [&](std::int64_t i, std::int64_t j, double scale) {
      const auto J = beta * scale * draw();
      model.factors.push_back({{i, j}, {J, -J, -J, J}});
    };
    if (complete(params)) {
      model.cardinalities.assign(std::size_t(params.spins), 2);
      for (std::int64_t i = 0; i < params.spins; ++i)
        for (auto j = i + 1; j < params.spins; ++j)
          bond(i, j, 1 / std::sqrt(double(params.spins)));
    } else {
      const auto lattice = ising::uniform_lattice(read_shape(params), 0, 0);
      model.cardinalities.assign(std::size_t(lattice.sites()), 2);
      for (const auto& b : lattice.bonds)
        bond(b.i, b.j, 1);
    }
    for (std::size_t i = 0; params.field > 0 && i < model.cardinalities.size(); ++i) {
      const auto h = beta * params.field * gaussian();
      model.factors.push_back({{std::int64_t(i)}, {-h, h}});
    }
    return model;
  }

  double beta_;
  ByPlanar planar_;
};

}  // namespace

MARGINALIA_PLUGIN(SpinGlass);
