#include <iostream>

#include <marginalia/comparison.h>
#include <marginalia/report.h>

#include "light.h"

namespace marginalia::app {

void report(const std::string& path) {
  if (const StudyDirectory study(path); study.exists())
    write_comparison(study);
  else
    write_report(path);
  std::cout << (fs::path(path) / "report.html").string() << "\n";
}

}  // namespace marginalia::app
