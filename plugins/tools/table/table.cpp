/// \file
/// The verb `table`: rows that satisfy conditions, gaps filled, probabilities, predictions and
/// scores by a model of a table, from CSV to CSV.
#include <map>

#include <marginalia/plugin.h>
#include <marginalia/tool.h>

#include "verbs.h"

namespace marginalia::tables {

class TableTool final : public Tool {
 public:
  static constexpr const char* kName = "table";
  static constexpr const char* kSummary =
      "tables: rows under conditions, gaps filled, probabilities, predictions, scores";

  struct Params {
    void visit(ParamVisitor&) {}
  };
  TableTool(const Params&, const ToolContext& context) : context_(context) {}

  std::string usage() const override { return usage_text(); }
  int run(const std::vector<std::string>& arguments, std::istream&,
          std::ostream& out) const override {
    static const std::map<std::string, decltype(&impute)> verbs{{"impute", impute},
                                                                {"predict", predict},
                                                                {"probability", probability},
                                                                {"sample", sample},
                                                                {"score", score}};
    const auto options = read_options(arguments);
    verbs.at(options.action)(context_, options, out);
    return 0;
  }

 private:
  ToolContext context_;
};

}  // namespace marginalia::tables
MARGINALIA_PLUGIN(marginalia::tables::TableTool);
