#include <iostream>
#include <map>

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/cuda.h>
#include <torch/types.h>
#include <nlohmann/json.hpp>

#include <marginalia/error.h>
#include <marginalia/files.h>
#include <marginalia/precision.h>
#include <marginalia/query_matrix.h>
#include <marginalia/reference.h>

#include "cli.h"

namespace marginalia::app {
namespace {

void list(Session& session, const std::string& kind, bool as_json) {
  const auto& kinds = Registry::kinds();
  if (!kind.empty() && !std::ranges::count(kinds, kind))
    throw SpecError(unknown_name("kind", kind, kinds));
  Json all = Json::array();
  for (const auto* d : session.registry().descriptions()) {
    if (!kind.empty() && d->kind != kind) continue;
    if (as_json)
      all.push_back({{"kind", d->kind},
                     {"name", d->name},
                     {"summary", d->summary},
                     {"plugin", d->plugin},
                     {"version", d->version}});
    else
      fmt::print("{:<8} {:<18} {}\n", d->kind, d->name, d->summary);
  }
  if (as_json) std::cout << all.dump(2) << "\n";
}

/// Families against questions.
void list_queries(Session& session, bool as_json) {
  const auto matrix = query_matrix(session.registry());
  if (!as_json)
    fmt::print("{:<19} {:<8} {:<13} {:<16} {:<9} {}\n", "family", "from", "query", "estimator",
               "status", "passes a row: S known, U unknown, D all");
  Json all = Json::array();
  for (const auto& row : matrix)
    for (const auto& c : row.capabilities) {
      if (!as_json) {
        fmt::print("{:<19} {:<8} {:<13} {:<16} {:<9} {}\n", row.family, row.source, name_of(c.kind),
                   c.estimator, name_of(c.status), c.passes);
        continue;
      }
      all.push_back({{"family", row.family},
                     {"source", row.source},
                     {"query", name_of(c.kind)},
                     {"estimator", c.estimator},
                     {"status", name_of(c.status)},
                     {"passes", c.passes}});
    }
  if (as_json) std::cout << all.dump(2) << "\n";
}

void describe_one(Session& session, const std::string& kind, const std::string& name) {
  const auto& registry = session.registry();
  if (!std::ranges::count(Registry::kinds(), kind))
    throw SpecError(unknown_name("kind", kind, Registry::kinds()));
  const auto* component = registry.find(kind, name);
  if (!component) throw SpecError(unknown_name(kind, name, registry.names(kind)));
  std::cout << describe(*component);
}

/// docs/reference/*.md and docs/spec.schema.json, as the tests compare them.
void describe_all(Session& session, const std::string& folder) {
  if (folder.empty()) {
    for (const auto& [_, text] : reference(session.registry()))
      std::cout << text << "\n";
    return;
  }
  const auto target = fs::path(folder) / "reference";
  fs::create_directories(target);
  for (const auto& [name, text] : reference(session.registry()))
    write_atomically(target / name, text);
  write_atomically(fs::path(folder) / "spec.schema.json", spec_schema(session.registry()));
}

std::string first_line_with(const std::string& text, const std::string& what) {
  const auto at = text.find(what);
  if (at == std::string::npos) return "unknown";
  const auto end = text.find_first_of(",\n", at);
  return text.substr(at, end - at);
}

/// The libraries that plugins can do without: their versions, or that they are missing.
std::map<std::string, std::string> optional_parts(const Registry& registry) {
  std::map<std::string, std::string> parts;
  for (const auto* description : registry.descriptions())
    for (const auto& part : description->parts)
      parts[part.name] = part.version.empty() ? "missing: " + part.remedy : part.version;
  return parts;
}

void doctor(Session& session) {
  const auto config = at::show_config();
  const auto row = [](const char* what, const std::string& is) {
    fmt::print("{:<12} {}\n", what, is);
  };
  row("marginalia", fmt::format("{}, commit {}", MARGINALIA_VERSION,
                                commit_text().empty() ? "unknown" : commit_text()));
  row("build", build_text());
  row("blas", first_line_with(config, "BLAS_INFO"));
  row("oneDNN", first_line_with(config, "MKL-DNN"));
  row("cpu", first_line_with(config, "CPU capability"));
  row("threads", fmt::format("{} in use, {} available; OMP_WAIT_POLICY={}", at::get_num_threads(),
                             session.threads(),
                             std::getenv("OMP_WAIT_POLICY") ? std::getenv("OMP_WAIT_POLICY") : ""));
  row("cuda", torch::cuda::is_available()
                  ? fmt::format("{} device(s)", torch::cuda::device_count())
                  : "none seen: this LibTorch has no CUDA, or there is no device; for one, build "
                    "against a CUDA LibTorch with -DCMAKE_PREFIX_PATH");
  for (const auto& [name, is] : optional_parts(session.registry()))
    row(name.c_str(), is);
  const auto data = session.data();
  row("data", fmt::format("{}{}", data.string(),
                          fs::is_directory(data) ? ""
                                                 : " (does not exist; give --data or set "
                                                   "MARGINALIA_DATA)"));
  const auto device =
      device_named(session.options.device.empty() ? "auto" : session.options.device, "--device");
  // A large product tells whether a real BLAS is behind LibTorch: the reference one is 50x slower.
  const auto rate = product_rate(at::kFloat, device);
  row("matmul",
      fmt::format("{:.0f} GFLOP/s in float32, {:.3g} in bfloat16, {:.3g} in float64{}", rate,
                  product_rate(at::kBFloat16, device), product_rate(at::kDouble, device),
                  rate < 10 ? "; slow: install libopenblas0-openmp" : ""));
  const auto bfloat16 = bfloat16_on(device);
  row("precision",
      fmt::format("auto trains in {} on {}: bfloat16 is {} in hardware, {}",
                  automatic_precision(device), device.str(),
                  bfloat16.in_hardware ? "multiplied" : "not multiplied", bfloat16.why));
  for (const auto& folder : session.host().folders())
    row("plugins in", folder.string());
  for (const auto& plugin : session.host().loaded())
    row("", fmt::format("{} {}", plugin.name, plugin.version));
  for (const auto& why : session.host().refused())
    row("refused", why);
}

}  // namespace

void add_inspection_verbs(CLI::App& program, Session& session) {
  struct Arguments {
    std::string kind, name, write;
    bool json = false, all = false, queries = false;
  };
  const auto a = std::make_shared<Arguments>();
  auto* verb = add_verb(
      program, session, "list", "what is loaded, by kind", "marginalia list energy", [&session, a] {
        if (!a->queries) return list(session, a->kind, a->json);
        if (!a->kind.empty() && a->kind != "family")
          throw SpecError(
              fmt::format("list --queries: only families answer queries, not {}", a->kind));
        list_queries(session, a->json);
      });
  verb->add_option("kind", a->kind, fmt::format("{}", fmt::join(Registry::kinds(), ", ")));
  verb->add_flag("--json", a->json, "as JSON");
  verb->add_flag(
      "--queries", a->queries,
      "which family answers which question: how far it can be trusted, in how many passes");

  verb = add_verb(program, session, "describe", "a component's parameters, formula and source",
                  "marginalia describe energy ising", [&session, a] {
                    if (a->all) return describe_all(session, a->write);
                    if (a->name.empty()) throw SpecError("describe: needs KIND NAME, or --all");
                    describe_one(session, a->kind, a->name);
                  });
  verb->add_option("kind", a->kind, "kind of component");
  verb->add_option("name", a->name, "its name");
  verb->add_flag("--all", a->all, "every component");
  verb->add_option("--write", a->write,
                   "with --all: write reference/ and spec.schema.json below DIR")
      ->type_name("DIR");

  add_verb(program, session, "doctor", "explain this build and this machine", "marginalia doctor",
           [&session] { doctor(session); });
}

}  // namespace marginalia::app
