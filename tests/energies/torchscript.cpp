#include <torch/csrc/jit/api/module.h>
#include <torch/cuda.h>

#include "marginalia_test.h"

#include <cmath>
#include <fstream>

#include <fmt/format.h>

#include <marginalia/energy.h>
#include <marginalia/inference/enumeration.h>

using namespace marginalia;
namespace fs = std::filesystem;
using torch::Tensor;

namespace {

const std::string kTorchscriptSays = "energy torchscript (plugin torchscript): ";

/// A TorchScript file whose module has this source.
class ScriptFile {
 public:
  explicit ScriptFile(const std::string& source) {
    torch::jit::Module module("Reward");
    module.register_attribute("training", c10::BoolType::get(), true);
    module.define(source);
    module.save(path_.string());
  }
  std::string path() const { return path_.string(); }

 private:
  test::TempDir folder_;
  fs::path path_ = folder_ / "reward.pt";
};

std::string torchscript_spec(const std::string& file, const std::string& more = "") {
  return fmt::format(R"({{"type": "torchscript", "file": "{}",
                          "space": {{"variables": 3, "levels": 4}} {}}})",
                     file, more);
}

std::shared_ptr<Energy> scripted(const ScriptFile& file, const std::string& more = "") {
  return test::make<Energy>(torchscript_spec(file.path(), more));
}

std::string refused(const ScriptFile& file, const std::string& more = "") {
  return test::refusal([&] { scripted(file, more); });
}

/// What a module is told whose forward returns `expression` of x: int64 [B, 3].
std::string refused_return(const std::string& expression) {
  const ScriptFile file("def forward(self, x):\n  return " + expression + "\n");
  const auto message = refused(file);
  const auto begin = kTorchscriptSays + file.path() + ": ";
  return message.starts_with(begin) ? message.substr(begin.size()) : message;
}

}  // namespace

TEST_CASE("torchscript scores with what the file's module computes") {
  const auto expected = [](const Tensor& x) {
    return (x.to(torch::kDouble) * torch::tensor({1.0, 2.0, 4.0}, torch::kDouble)).sum(1);
  };
  // The last is bfloat16, which text of a script cannot name.
  for (const std::string of : {"x", "x.double()", "x.half()", "x.to(15)"}) {
    CAPTURE(of);
    const ScriptFile flat("def forward(self, x):\n  y = " + of +
                          "\n  return (y[:, 0] + 2 * y[:, 1] + 4 * y[:, 2]) * 1.0\n");
    const auto energy = scripted(flat, R"(, "batch_size": 7)");
    const auto x = all_states(energy->space());
    CHECK(energy->log_density(x).equal(expected(x)));
  }
  const ScriptFile column("def forward(self, x):\n  return 0.5 * x.sum(1, keepdim=True)\n");
  const auto scaled = scripted(column, R"(, "scale": -3)");
  const auto x = all_states(scaled->space());
  CHECK(scaled->log_density(x).equal(-1.5 * x.sum(1).to(torch::kDouble)));
}

TEST_CASE("torchscript gives modules one-hot states where they take them") {
  const ScriptFile file(
      "def forward(self, x):\n"
      "  assert x.dtype == 6 and x.dim() == 3 and x.size(1) == 3 and x.size(2) == 4\n"  // float32
      "  return x[:, 0, 1] + 10 * x[:, 1, 2] + 100 * x[:, 2, 3]\n");
  const auto energy = scripted(file, R"(, "input": "one_hot")");
  const auto states = torch::tensor({{1, 2, 3}, {1, 1, 3}, {0, 2, 0}});
  CHECK(energy->log_density(states).equal(torch::tensor({111.0, 101.0, 10.0}, torch::kDouble)));
}

TEST_CASE("torchscript evaluates: no dropout, no gradients, and the same answer each time") {
  torch::manual_seed(1);
  const ScriptFile file("def forward(self, x):\n"
                        "  y = torch.dropout(x.float(), 0.5, self.training)\n"
                        "  assert not torch.is_grad_enabled()\n"
                        "  return torch.sin(y).mul(1.7).add(0.3).exp().sum(1).tanh()\n");
  const auto energy = scripted(file);
  const auto x = all_states(energy->space());
  const auto first = energy->log_density(x);
  CHECK_FALSE(first.requires_grad());
  for (int n = 0; n < 20; ++n)
    CHECK(energy->log_density(x).equal(first));
}

// Z = sum_s sum_x prod_j exp(w_j(x_(s+j))) = S K^(D-J) (e^w + K - 1)^J, S = D - J + 1 places.
TEST_CASE("the module that Python exported in experiments/rewards has the closed form's log Z") {
  const auto file = std::string(MARGINALIA_TEST_DATA) + "/rewards/motif.pt";
  for (const int D : {4, 6, 8}) {
    const auto energy = test::make<Energy>(fmt::format(
        R"({{"type": "torchscript", "file": "{}", "space": {{"variables": {}, "levels": 4}}}})",
        file, D));
    const auto expected = std::log(D - 3) + (D - 4) * std::log(4) + 4 * std::log(std::exp(2) + 3);
    CHECK(energy->log_density(all_states(energy->space())).logsumexp(0).item<double>() ==
          doctest::Approx(expected).epsilon(1e-13));
  }
}

TEST_CASE("torchscript refuses a module that does not give one number a state, before any work") {
  const std::string rule = "; it must give one number a state: Float ";
  CHECK(refused_return("x.float()") ==
        "forward gave Float [1, 3] for Long [1, 3]" + rule + "[1] or Float [1, 1]");
  CHECK(refused_return("x.float().sum()") ==
        "forward gave Float [] for Long [1, 3]" + rule + "[1] or Float [1, 1]");
  CHECK(refused_return("x.sum(1)") ==
        "forward gave Long [1] for Long [1, 3]" + rule + "[1] or Float [1, 1]");
  CHECK(refused_return("x.float().sum().view(1)") ==  // seen with two states only
        "forward gave Float [1] for Long [2, 3]" + rule + "[2] or Float [2, 1]");
  CHECK(refused_return("x.float().sum(1).view(1, -1)") ==
        "forward gave Float [1, 2] for Long [2, 3]" + rule + "[2] or Float [2, 1]");
  const std::string finite =
      " for the state of zeros; log f must be finite, or -inf for a forbidden state";
  CHECK(refused_return("x.float().sum(1) / 0") == "forward gave NaN" + finite);
  CHECK(refused_return("1 / x.float().sum(1)") == "forward gave infinity" + finite);
  CHECK(refused_return("x.float().sum(1) + x.size(0)") ==
        "forward gave 1 and 2 for the same state, alone and in a batch; log f must be a function");
  CHECK(refused_return("(x.float().sum(1), x)") ==
        "forward gave Tuple for Long [1, 3]" + rule + "[1] or Float [1, 1]");
}

TEST_CASE("what a script raises is told, when it is built and later") {
  const ScriptFile at_once("def forward(self, x):\n  return x.float() @ x.float()\n");
  const auto message = refused(at_once);
  CHECK(message.starts_with(kTorchscriptSays + at_once.path() +
                            ": forward failed on Long [1, 3]:\n"));
  CHECK(message.find("mat1 and mat2 shapes cannot be multiplied") != std::string::npos);
  CHECK(message.find("frame #") == std::string::npos);  // no trace of our own stack

  const ScriptFile later("def forward(self, x):\n"
                         "  assert bool((x < 3).all()), 'no threes'\n"
                         "  return x.float().sum(1)\n");
  const auto energy = scripted(later);
  CHECK(energy->log_density(torch::ones({1, 3}, torch::kLong)).item<double>() == 3);
  const auto told = test::refusal([&] {
    energy->log_density(torch::full({5, 3}, 3, torch::kLong));
  });
  CHECK(told.starts_with(kTorchscriptSays + later.path() + ": forward failed on Long [5, 3]:\n"));
  CHECK(told.find("no threes") != std::string::npos);

  const ScriptFile infinite("def forward(self, x):\n  return 1 / (x.float().sum(1) - 3)\n");
  CHECK(
      test::refusal([&] {
        scripted(infinite)->log_density(torch::ones({2, 3}, torch::kLong));
      }) ==
      kTorchscriptSays.substr(0, kTorchscriptSays.size() - 2) +
          ": log_density is inf for row 0 of 2; it must be finite, or -inf for a forbidden state");
}

TEST_CASE("torchscript refuses files that are none of PyTorch's") {
  CHECK(test::refusal([] { test::make<Energy>(R"({"type": "torchscript"})"); }).find("\"space\"") !=
        std::string::npos);
  CHECK(test::refusal([] {
          test::make<Energy>(R"({"type": "torchscript", "space": {"variables": 3, "levels": 4}})");
        }) == kTorchscriptSays + "needs \"file\", a module that torch.jit.save has written");
  CHECK(test::refusal([] { test::make<Energy>(torchscript_spec("/nowhere/reward.pt")); }) ==
        kTorchscriptSays +
            "/nowhere/reward.pt: there is no such file, nor that with .gz or .zip; a file is "
            "looked for "
            "beside the spec, then in the data directory (--data, $MARGINALIA_DATA)");

  const ScriptFile good("def forward(self, x):\n  return x.float().sum(1)\n");
  std::ifstream in(good.path(), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  for (const auto& wrong :
       {std::string("no zip"), std::string(), bytes.substr(0, bytes.size() / 2)}) {
    const test::TextFile file(wrong);
    const auto message =
        test::refusal([&] { test::make<Energy>(torchscript_spec(file.path.string())); });
    CHECK(message.starts_with(kTorchscriptSays + file.path.string() +
                              ": cannot be read as TorchScript; write "
                              "it with torch.jit.script(module)"
                              ".save(FILE), in a PyTorch no newer than"));
    CHECK(message.find("frame #") == std::string::npos);
  }
  const ScriptFile other("def backward(self, x):\n  return x.float().sum(1)\n");
  CHECK(refused(other) ==
        kTorchscriptSays + other.path() + ": the module has no forward; give it one");
  if (!torch::cuda::is_available())
    CHECK(refused(good, R"(, "device": "cuda")") ==
          kTorchscriptSays + "\"device\": \"cuda\": this LibTorch sees no CUDA device; use cpu");
}
