#include "report_page.h"

#include "replaced.h"

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

}  // namespace marginalia
