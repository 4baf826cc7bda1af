#include <iostream>

#include "light.h"
#include "records/comparison/comparison.h"
#include "records/report/report.h"

namespace marginalia::app {

void report(const std::string& path) {
  if (const StudyDirectory study(path); study.exists())
    write_comparison(study);
  else
    write_report(path);
  std::cout << (fs::path(path) / "report.html").string() << "\n";
}

}  // namespace marginalia::app
