#include <marginalia/inference/masking.h>
#include <marginalia/network.h>

#include "marginalia_test.h"
#include "seeded.h"

using namespace marginalia;

namespace {

std::shared_ptr<Network> pixel_cnn(const StateSpace& space, const std::string& parameters) {
  auto net = test::seeded_network("pixel_cnn", parameters, {space, kCausalLogits});
  test::shake(*net, 0.1);
  net->eval();
  return net;
}

Tensor compute_logits(Network& net, const Tensor& x) {
  return net.evaluate({x, net.causal_order().expand_as(x)}, kCausalLogits).causal_logits;
}

/// What a pixel reads: (rows, columns) from it.
using Offsets = std::vector<std::pair<int, int>>;

/// The network of one picture from its definition, pixel by pixel.
class Restated {
 public:
  Restated(const Network& net, std::int64_t height, std::int64_t width)
      : height_(height), width_(width) {
    for (const auto& entry : net.named_parameters())
      parameters_[entry.key()] = entry.value().detach();
  }

  /// x: int64 [P]  ->  [P, K].
  Tensor logits(const Tensor& x, int layers) const {
    const auto e = parameters_.at("table").index_select(0, x + 1) + parameters_.at("place");
    auto v = conv("above", e, {{-2, -1}, {-2, 0}, {-2, 1}, {-1, -1}, {-1, 0}, {-1, 1}});
    auto h = conv("left", e, {{0, -2}, {0, -1}}) + conv("from_above", v.relu(), {{0, 0}});
    for (int l = 1; l <= layers; ++l) {
      const auto name = "layer" + std::to_string(l) + ".";
      const int d = l == 1 ? 1 : 2;
      const auto above =
          conv(name + "above", v.relu(), {{-d, -d}, {-d, 0}, {-d, d}, {0, -d}, {0, 0}, {0, d}});
      v = v + conv(name + "above_out", above.relu(), {{0, 0}});
      const auto u = conv(name + "left", h.relu(), {{0, -d}, {0, 0}}) +
                     conv(name + "from_above", v.relu(), {{0, 0}});
      h = h + conv(name + "left_out", u.relu(), {{0, 0}});
    }
    return conv("out", h.relu(), {{0, 0}});
  }

 private:
  /// Offsets in the order of the weights, row by row; nothing beyond the picture.  x: [P, C].
  Tensor conv(const std::string& name, const Tensor& x, const Offsets& offsets) const {
    const auto weight = parameters_.at(name + ".weight").flatten(2);  // [out, in, offsets]
    std::vector<Tensor> rows;
    for (std::int64_t p = 0; p < height_ * width_; ++p) {
      auto y = parameters_.at(name + ".bias").clone();
      for (std::size_t i = 0; i < offsets.size(); ++i) {
        const auto r = p / width_ + offsets[i].first, c = p % width_ + offsets[i].second;
        if (r < 0 || r >= height_ || c < 0 || c >= width_) continue;
        y += weight.select(2, std::int64_t(i)).mv(x[r * width_ + c]);
      }
      rows.push_back(y);
    }
    return torch::stack(rows);
  }

  std::int64_t height_, width_;
  std::map<std::string, Tensor> parameters_;
};

}  // namespace

TEST_CASE("pixel_cnn equals its formula") {
  torch::NoGradGuard no_grad;
  auto space = StateSpace::uniform(20, 3);
  space.shape = {4, 5};
  const auto net = pixel_cnn(space, R"("channels": 4, "layers": 2)");
  const auto x = torch::randint(-1, 3, {3, 20}, torch::kLong);
  const auto logits = compute_logits(*net, x);
  const Restated restated(*net, 4, 5);
  for (int b = 0; b < 3; ++b)
    CHECK(torch::allclose(logits[b], restated.logits(x[b], 2), 1e-5, 1e-5));
}

TEST_CASE("no pixel above or to the left is out of a pixel_cnn's sight") {
  torch::NoGradGuard no_grad;
  auto space = StateSpace::uniform(64, 2);
  space.shape = {8, 8};
  const auto net = pixel_cnn(space, R"("channels": 8, "layers": 6)");
  const auto zeros = torch::zeros({1, 64}, torch::kLong);
  const auto others = torch::eye(64, torch::kLong);  // one pixel changed in each row
  const auto change = (compute_logits(*net, others) - compute_logits(*net, zeros)).abs().amax(2);
  const auto seen = change > 1e-5;  // [changed, pixel]; less is rounding
  const auto before = torch::ones({64, 64}).triu(1).to(torch::kBool);
  CAPTURE(seen.ne(before).nonzero());
  CHECK(seen.equal(before));
}

TEST_CASE("pixel_cnn takes pictures only, and pixels in no other order than row by row") {
  CHECK(test::refusal([] {
          pixel_cnn(StateSpace::uniform(4, 2), R"("channels": 4)");
        }).find("works on pictures [height, width], not on a shape of 1 numbers") !=
        std::string::npos);
  auto space = StateSpace::uniform(4, 2);
  space.shape = {2, 2};
  const auto net = pixel_cnn(space, R"("channels": 4)");
  const auto x = torch::zeros({1, 4}, torch::kLong);
  const auto backwards = net->causal_order().flip(0).unsqueeze(0);
  CHECK(test::refusal([&] {
          net->evaluate({x, backwards}, kCausalLogits);
        }).find("sees pixels row by row, and along no other order") != std::string::npos);
}
