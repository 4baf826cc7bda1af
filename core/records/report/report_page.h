#pragma once

#include <map>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <marginalia/spec.h>

#include "report_assets.h"

/// How a report's page is put together from its template, its scripts and its data.
namespace marginalia {

/// JSON that may stand in a script element: no '<' is left, so neither "</script>" nor "<!--" is.
std::string script_json(const Json& value);

std::string html_text(std::string_view text);

/// A page of a kind, "report" or "study".
struct Page {
  std::string title;
  Json data;
  std::string
      beside;  ///< what else holds the numbers: "evaluation.json and metrics.jsonl beside it"
};
std::string report_page(const Page& page);
std::string study_page(const Page& page);

/// The template with each {{name}} replaced by `values[name]`, or by the asset of that name. One
/// pass, so that what is put in is never searched.
std::string filled(std::string_view page, const std::map<std::string_view, std::string>& values);

}  // namespace marginalia
