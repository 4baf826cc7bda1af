// Parameters of format 1, and what they are today: of the families whose alternatives became
// choices.
#include "marginalia_test.h"

#include <marginalia/family.h>
#include <marginalia/files.h>

#include "host/experiment/experiment.h"
#include "host/experiment/upgrade.h"
#include "host/study/read_study.h"
#include "host/study/upgrade_study.h"

using namespace marginalia;
namespace fs = std::filesystem;

namespace {

/// `old` in today's words, or the fault; checked to be legal and to stay as it is.
std::string today(const std::string& old) {
  const auto& registry = test::loaded_registry();
  const auto json = Json::parse(old);
  const auto upgrade = registry.find("family", json.at("type").get<std::string>())->upgrade;
  Json now;
  const auto text = test::refusal([&] { now = upgrade(json, 1); });
  if (text != "accepted") return text;
  CHECK(upgrade(now, 1) == now);
  Faults faults;
  const auto spec = Spec::from_text(now.dump(), "spec.json");
  const auto resolved = registry.check("family", spec, faults);
  CHECK(test::refusal([&] { faults.throw_if_any(); }) == "accepted");
  const auto again = Spec::from_text(upgrade(resolved, 1).dump(), "spec.json");
  CHECK(registry.check("family", again, faults) == resolved);
  return now.dump();
}

}  // namespace

TEST_CASE("mam of format 1") {
  CHECK(today(R"({"type": "mam"})") == R"({"type":"mam"})");
  CHECK(
      today(R"({"type": "mam", "objective": "denoising", "states": "gibbs", "label_sweeps": 32,
                  "consistency_weight": 0.3, "masks": 2,
                  "chain": {"count": 16, "sweeps": 2, "start": "exact", "pool": 9}})") ==
      R"({"type":"mam","objective":{"type":"denoising","labels":{"type":"gibbs_sweeps","count":32},)"
      R"("consistency_weight":0.3},"states":{"type":"gibbs","count":16,"sweeps":2,)"
      R"("start":"exact"},"masks":2})");
  CHECK(today(R"({"type": "mam", "label_changes": true, "states": "metropolis",
                  "chain": {"start": "resampled", "pool": 9, "block": 3, "sweeps": 5}})") ==
        R"({"type":"mam","objective":{"type":"denoising","labels":"single_changes"},)"
        R"("states":{"type":"metropolis","block":3,"start":{"type":"resampled","pool":9}}})");
  CHECK(today(R"({"type": "mam", "states": "data", "stages": "two_stage", "on_policy": 0.5,
                  "conditional_fraction": 0, "blocks": 8, "points": 2,
                  "chain": {"count": 256, "block": 16}})") ==
        R"({"type":"mam","objective":{"type":"denoising",)"
        R"("stages":{"type":"two_stage","conditional_fraction":0},)"
        R"("targets":{"type":"paths","blocks":8,"points":2}},)"
        R"("states":{"type":"data","on_policy":{"type":"chains","count":256,"block":16,)"
        R"("share":0.5}}})");
  CHECK(today(R"({"type": "mam", "objective": "kl_penalty", "alpha": 2, "label_sweeps": 3,
                  "states": "model", "chain": {"block": 4}})") ==
        R"({"type":"mam","objective":{"type":"kl_penalty","alpha":2},)"
        R"("states":{"type":"model","block":4}})");
  CHECK(today(R"({"type": "mam", "objective": "consistency", "size_power": 2, "alpha": 4})") ==
        R"({"type":"mam","objective":{"type":"consistency","size_power":2}})");
  CHECK(today(R"({"type": "mam", "chain": {"start": "exact"}})") ==
        R"({"type":"mam","states":{"type":"gibbs","start":"exact"}})");
  CHECK(today(R"({"type": "mam", "on_policy": 0.25})") ==
        R"({"type":"mam","states":{"type":"data","on_policy":{"type":"chains","share":0.25}}})");
}

TEST_CASE("what mam of format 1 refused is refused still") {
  CHECK(today(R"({"type": "mam", "label_changes": true, "label_sweeps": 3})") ==
        "\"label_changes\" and \"label_sweeps\" are two ways to one thing: give one");
  CHECK(today(R"({"type": "mam", "label_changes": true, "objective": "particle"})") ==
        "\"label_changes\" is for \"objective\": \"denoising\", not \"particle\"");
  CHECK(today(R"({"type": "mam", "blocks": 3, "objective": "consistency"})") ==
        "\"blocks\" is for \"objective\": \"denoising\", not \"consistency\"");
  CHECK(today(R"({"type": "mam", "stages": "two_stage", "objective": "kl_penalty"})") ==
        "\"stages\" is for \"objective\": \"denoising\", not \"kl_penalty\"");
  CHECK(today(R"({"type": "mam", "size_power": 2, "objective": "kl_penalty"})") ==
        "\"size_power\" is for marginals fitted at links");
  CHECK(today(R"({"type": "mam", "size_power": 2, "blocks": 4})") ==
        "\"size_power\" is for marginals fitted at links, without \"blocks\"");
  CHECK(today(R"({"type": "mam", "states": "model", "on_policy": 0.5})") ==
        "\"on_policy\" is for \"states\": \"data\"; other states have their chains");
  CHECK(today(R"({"type": "mam", "states": "model", "chain": {"start": "resampled"}})") ==
        "\"start\": \"resampled\" needs states of the target: \"gibbs\" or \"metropolis\"");
  CHECK(today(R"({"type": "mam", "states": "metropolis", "chain": {"start": "exact"}})") ==
        "\"start\": \"exact\" is for \"states\": \"gibbs\"");
}

TEST_CASE("masked_diffusion, gflownet and mcmc of format 1") {
  CHECK(today(R"({"type": "masked_diffusion", "hidden": "by_size", "schedule": "cosine"})") ==
        R"({"type":"masked_diffusion","objective":{"type":"auto","hidden":"by_size"},)"
        R"("schedule":"cosine"})");
  CHECK(today(R"({"type": "masked_diffusion", "objective": "log_variance", "terms": 4,
                  "siblings": 2, "whole": 0.3, "replay": {"size": 8}, "hidden": "by_time"})") ==
        R"({"type":"masked_diffusion","objective":{"type":"log_variance","terms":4,"siblings":2,)"
        R"("root_fraction":0.3}})");
  CHECK(today(R"({"type": "masked_diffusion", "objective": "weighted_denoising",
                  "least_time": 0.01, "replay": {"fresh": 8}})") ==
        R"({"type":"masked_diffusion","objective":{"type":"weighted_denoising",)"
        R"("hidden":{"type":"by_time","least_time":0.01},"replay":{"fresh":8}}})");
  CHECK(today(R"({"type": "masked_diffusion", "objective": "elbo", "siblings": 2})") ==
        "\"siblings\" is for \"objective\": \"log_variance\"");
  CHECK(today(R"({"type": "gflownet", "objective": "detailed_balance", "lambda": 0.5,
                  "order": "learned", "backward": "learned", "replay": {"size": 9}})") ==
        R"({"type":"gflownet","objective":"detailed_balance",)"
        R"("order":{"type":"learned","backward":"learned"},"replay":{"size":9}})");
  CHECK(today(R"({"type": "gflownet", "lambda": 0.5, "order": "forward"})") ==
        R"({"type":"gflownet","objective":{"type":"subtrajectory_balance","lambda":0.5},)"
        R"("order":"forward"})");
  CHECK(today(R"({"type": "gflownet", "order": "forward", "backward": "learned"})") ==
        "\"backward\": \"learned\" is for \"order\": \"learned\"");
  CHECK(today(R"({"type": "mcmc", "sampler": "parallel_tempering", "temperatures": 4,
                  "chains": 8})") ==
        R"({"type":"mcmc","sampler":{"type":"parallel_tempering","temperatures":4},"chains":8})");
  CHECK(today(R"({"type": "mcmc", "sampler": "auto", "temperatures": 8, "hottest": 0.2})") ==
        R"({"type":"mcmc","sampler":"auto"})");
  CHECK(
      today(R"({"type": "mcmc", "sampler": "auto", "temperatures": 9})") ==
      "\"temperatures\" and \"hottest\" are for \"sampler\": \"parallel_tempering\", not \"auto\"");
}

TEST_CASE(
    "every spec of format 1 that was ever shipped, and the specs of recorded runs, are read") {
  const auto& registry = test::loaded_registry();
  std::size_t read = 0;
  for (const auto& entry :
       fs::recursive_directory_iterator(fs::path(MARGINALIA_TEST_DATA) / "format_1")) {
    if (entry.path().extension() != ".json" || is_study(entry.path())) continue;
    CAPTURE(entry.path().string());
    const auto spec = Spec::from_file(entry.path());
    Faults faults;
    const auto resolved = Experiment::check(spec, registry, faults);
    CHECK(test::refusal([&] { faults.throw_if_any(); }) == "accepted");
    CHECK(resolved.at("marginalia") == kSpecFormat);
    const auto now = upgraded(spec, registry);  // as it is printed: the same experiment
    CHECK(Experiment::check(now, registry, faults) == resolved);
    ++read;
  }
  CHECK(read >= 40);
}

TEST_CASE("every study of format 1 that was ever shipped has the same experiments today") {
  const auto& registry = test::loaded_registry();
  const test::TempDir folder;
  const auto old = fs::path(MARGINALIA_TEST_DATA) / "format_1";
  for (const auto& entry : fs::recursive_directory_iterator(old)) {
    if (entry.path().extension() != ".json") continue;
    const auto copy = folder / fs::relative(entry.path(), old).string();
    fs::create_directories(copy.parent_path());
    const auto json = is_study(entry.path())
                          ? upgraded_study(entry.path(), {}, registry)
                          : upgraded(Spec::from_file(entry.path()), registry).json();
    write_atomically(copy, json.dump());
  }
  for (const auto& entry : fs::directory_iterator(old / "studies")) {
    CAPTURE(entry.path().string());
    const auto before = read_study(entry.path(), {}, registry, 10000);
    const auto now =
        read_study(folder / "studies" / entry.path().filename().string(), {}, registry, 10000);
    REQUIRE(before.experiments.size() == now.experiments.size());
    for (std::size_t i = 0; i < now.experiments.size(); ++i)
      CHECK(before.experiments[i].spec.dump() == now.experiments[i].spec.dump());
  }
}
