#include <iostream>

#include "light.h"
#include "records/comparison/comparison.h"
#include "records/report/report.h"

namespace marginalia::app {

void report(const Catalogue& catalogue, const std::string& path) {
  const MetricFacts facts(catalogue.measurement_facts());
  if (const StudyDirectory study(path); study.exists())
    for (const auto& note : write_comparison(study, facts).notes)
      std::cerr << note << "\n";
  else
    write_report(path, facts);
  std::cout << (fs::path(path) / "report.html").string() << "\n";
}

}  // namespace marginalia::app
