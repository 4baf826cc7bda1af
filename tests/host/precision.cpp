// In what networks multiply: what "auto" comes to on this machine and under the limits of a lesser
// one, and what depends on it. Nothing here needs bfloat16 in hardware.
#include "toy.h"

#include <fmt/format.h>

#include <marginalia/files.h>
#include <marginalia/precision.h>

#include "host/experiment/precision_record.h"
#include "host/study/read_study.h"
#include "records/runs/run_directory.h"

using namespace marginalia;
using test::toy::parsed;

namespace {

constexpr const char* kAutomatic = R"({"marginalia": 1, "seed": 1, "energy": {"type": "toy"},
  "network": {"type": "flat"}, "family": {"type": "idle"}})";

/// A variable of the environment, set while the object lives.
class Surrounding {
 public:
  Surrounding(const char* name, const char* value) : name_(name) {
    if (const auto* was = std::getenv(name)) was_ = was;
    setenv(name, value, 1);
  }
  ~Surrounding() {
    if (was_)
      setenv(name_, was_->c_str(), 1);
    else
      unsetenv(name_);
  }
  Surrounding(const Surrounding&) = delete;
  Surrounding& operator=(const Surrounding&) = delete;

 private:
  const char* name_;
  std::optional<std::string> was_;
};

Experiment idle_with(const std::vector<std::string>& settings = {}) {
  return Experiment(parsed(kAutomatic).with(settings), test::toy::registry(), "cpu");
}

}  // namespace

TEST_CASE("what limits a processor counts as the processor's, and is named") {
  const auto own = bfloat16_on(at::kCPU);
  CHECK_FALSE(own.why.empty());
  CHECK(automatic_precision(at::kCPU) == (own.in_hardware ? "bfloat16" : "float32"));
  CHECK(bfloat16_on(at::Device("cuda:1")).in_hardware);
  CHECK(bfloat16_on(at::Device("cuda:1")).why == "CUDA");
  for (const auto& [name, value] :
       {std::pair{"MARGINALIA_MAX_CPU_ISA", "avx2"}, std::pair{"MARGINALIA_MAX_CPU_ISA", "AVX512"},
        std::pair{"ATEN_CPU_CAPABILITY", "avx2"}, std::pair{"ATEN_CPU_CAPABILITY", "default"}}) {
    const Surrounding limit(name, value);
    const auto limited = bfloat16_on(at::kCPU);
    CHECK_FALSE(limited.in_hardware);
    CHECK(automatic_precision(at::kCPU) == "float32");
    if (own.in_hardware) CHECK(limited.why == fmt::format("limited by {}={}", name, value));
    CHECK(bfloat16_on(at::Device("cuda")).in_hardware);  // a limit of the CPU
  }
  const Surrounding wrong("MARGINALIA_MAX_CPU_ISA", "sse9");
  CHECK(test::refusal([] { bfloat16_on(at::kCPU); }) ==
        "MARGINALIA_MAX_CPU_ISA: must be avx2 or avx512, not \"sse9\"");
}

TEST_CASE("check keeps \"auto\"; an experiment settles it, and its hash says how") {
  Faults faults;
  const auto checked = Experiment::check(parsed(kAutomatic), test::toy::registry(), faults);
  CHECK(checked["training"]["precision"] == "auto");
  CHECK(checked["evaluation"]["precision"] == "auto");

  const Surrounding limit("MARGINALIA_MAX_CPU_ISA", "avx2");
  const auto lesser = idle_with();
  CHECK(lesser.resolved["training"]["precision"] == "float32");
  CHECK(lesser.resolved["evaluation"]["precision"] == "float32");
  CHECK(lesser.training.precision == "float32");
  CHECK(lesser.precision["training"]["asked"] == "auto");
  CHECK(lesser.precision["training"]["used"] == "float32");
  CHECK(lesser.precision["training"]["why"].get<std::string>().starts_with(
      "bfloat16 is not multiplied in hardware: "));
  CHECK(spec_hash(lesser.resolved) ==
        spec_hash(idle_with({"training.precision=float32"}).resolved));
  const auto coarse = idle_with({"training.precision=bfloat16"});
  CHECK(spec_hash(lesser.resolved) != spec_hash(coarse.resolved));
  CHECK(coarse.precision["training"]["in_hardware"] == false);
  CHECK(coarse.resolved["evaluation"]["precision"] == "float32");  // never by itself
}

TEST_CASE("where bfloat16 is multiplied in hardware \"auto\" trains in it and answers in float32") {
  auto spec = Json::parse(R"({"training": {"precision": "auto"},
                              "evaluation": {"precision": "auto"}})");
  const auto asked = spec;
  settle_precision(spec, "auto");
  CHECK(spec == asked);
  settle_precision(spec, "bfloat16");
  CHECK(spec["training"]["precision"] == "bfloat16");
  CHECK(spec["evaluation"]["precision"] == "float32");
  const auto record = precision_record(asked, spec, at::Device("cuda"));
  CHECK(record["training"].dump() ==
        R"({"asked":"auto","used":"bfloat16","why":"bfloat16 is multiplied in hardware: CUDA",)"
        R"("in_hardware":true})");
}

TEST_CASE("training in float64 is answered in float64, and in nothing less") {
  const auto both = idle_with({"training.precision=float64"});
  CHECK(both.evaluation.precision == "float64");
  CHECK(idle_with({"evaluation.precision=float64", "training.precision=float32"})
            .training.precision == "float32");
  CHECK(test::refusal([] {
          idle_with({"training.precision=float64", "evaluation.precision=float32"});
        }) == "spec.json: /: \"evaluation.precision\" must be auto or float64 where "
              "\"training.precision\" is float64, not float32");
}

TEST_CASE("a study settles \"auto\" once for all experiments, and what is named stays") {
  const test::TempDir folder;
  write_atomically(folder / "s.json", fmt::format(R"({{"marginalia_study": 1, "base": {},
    "variants": {{"a": {{}}, "b": {{"training.precision": "float64", "device": "cpu"}}}}}})",
                                                  kAutomatic));
  std::set<std::string> asked;
  const auto read = [&](const ChoosePrecision& choose) {
    return read_study(folder / "s.json", {}, test::toy::registry(), 10, choose);
  };
  const auto study = read([&](const auto& devices) {
    asked = devices;
    return "bfloat16";
  });
  CHECK(asked == std::set<std::string>{"auto", "cpu"});
  CHECK(study.precision == "bfloat16");
  const auto& [a, b] = std::tie(study.experiments[0].spec, study.experiments[1].spec);
  CHECK(a["training"]["precision"] == "bfloat16");
  CHECK(a["evaluation"]["precision"] == "float32");
  CHECK(b["training"]["precision"] == "float64");
  CHECK(b["evaluation"]["precision"] == "float64");
  CHECK(study.experiments[0].hash == spec_hash(a));
  CHECK(read({}).experiments[0].spec["training"]["precision"] == "auto");

  auto record = to_json(study);
  CHECK(study_from_json(record, "study.json").precision == "bfloat16");
  record.erase("precision");  // as it was written before
  CHECK(study_from_json(record, "study.json").precision == "float32");
}

TEST_CASE("products of every type can be timed") {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble})
    CHECK(product_rate(type, at::kCPU) > 0);
}
