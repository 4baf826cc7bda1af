#include "report_page.h"

#include <fmt/format.h>

#include "sdk/base/text.h"

namespace marginalia {

std::string script_json(const Json& value) {
  return replaced(value.dump(-1, ' ', true, Json::error_handler_t::replace), "<", "\\u003c");
}

std::string html_text(std::string_view text) {
  return replaced(replaced(std::string(text), "&", "&amp;"), "<", "&lt;");
}

std::string filled(std::string_view page, const std::map<std::string_view, std::string>& values) {
  std::string result;
  for (auto open = page.find("{{"); open != page.npos; open = page.find("{{")) {
    const auto close = page.find("}}", open);
    const auto name = page.substr(open + 2, close - open - 2);
    const auto value = values.find(name);
    result += page.substr(0, open);
    result += value == values.end() ? report_asset(name) : value->second;
    page.remove_prefix(close + 2);
  }
  return result.append(page);
}

static std::string fill_page(const char* kind, const Page& page, std::string_view styles,
                             const std::string& scripts) {
  return filled(report_asset("page.template.html"), {{"kind", kind},
                                                     {"title", html_text(page.title)},
                                                     {"beside", page.beside},
                                                     {"styles", std::string(styles)},
                                                     {"scripts", scripts},
                                                     {"data", script_json(page.data)}});
}

std::string report_page(const Page& page) {
  const auto scripts = fmt::format("{}\n{}\n{}", report_asset("scores.js"),
                                   report_asset("columns.js"), report_asset("report.js"));
  return fill_page("report", page, "", scripts);
}

std::string study_page(const Page& page) {
  const auto scripts =
      fmt::format("{}\n{}", report_asset("study_tables.js"), report_asset("study.js"));
  return fill_page("study", page, report_asset("study.css"), scripts);
}

}  // namespace marginalia
