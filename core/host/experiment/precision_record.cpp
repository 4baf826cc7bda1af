#include "precision_record.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <marginalia/precision.h>

namespace marginalia {

void settle_precision(Json& spec, const std::string& training) {
  if (training == "auto") return;
  auto &of_training = spec["training"]["precision"], &of_answers = spec["evaluation"]["precision"];
  if (of_training == "auto") of_training = training;
  if (of_answers == "auto") of_answers = of_training == "float64" ? "float64" : "float32";
}

Json precision_record(const Json& asked, const Json& used, at::Device device) {
  const auto hardware = bfloat16_on(device);
  Json record = Json::object();
  for (const std::string section : {"training", "evaluation"}) {
    const auto& was = asked.at(section).at("precision");
    const auto& is = used.at(section).at("precision");
    const auto of_hardware =
        fmt::format("bfloat16 is {} in hardware: {}",
                    hardware.in_hardware ? "multiplied" : "not multiplied", hardware.why);
    auto why = std::string("as asked for");
    if (was == "auto") why = section == "training" ? of_hardware : "of answers, with this training";
    if (was != "auto" && is == "bfloat16") why += "; " + of_hardware;
    record[section] = {{"asked", was}, {"used", is}, {"why", why}};
    if (is == "bfloat16") record[section]["in_hardware"] = hardware.in_hardware;
  }
  return record;
}

std::string precision_warning(const Json& record, const std::vector<std::string>& sections,
                              at::Device device) {
  const auto in_hardware = [&](const std::string& section) {
    return record.at(section).value("in_hardware", true);
  };
  if (std::ranges::all_of(sections, in_hardware)) return "";
  const auto ratio = product_rate(at::kFloat, device) / product_rate(at::kBFloat16, device);
  return fmt::format(
      "bfloat16 is not multiplied in hardware here ({}): products take {:.2g} times as long as in "
      "float32, as just measured; \"auto\" is float32 here",
      bfloat16_on(device).why, ratio);
}

}  // namespace marginalia
