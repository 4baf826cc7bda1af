#include <c10/util/Exception.h>

#include <marginalia/error.h>

#include "json_fault.h"

namespace marginalia {

std::string describe_error(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  return without_json_names(torch_error ? torch_error->what_without_backtrace() : error.what());
}

}  // namespace marginalia
