#include <memory>
#include <string>

#include <torch/types.h>

#include <marginalia/files.h>
#include <marginalia/mapped.h>

namespace marginalia {

namespace fs = std::filesystem;

Tensor map_unpacked(const fs::path& file) {
  if (is_plain(file))
    return at::from_file(file.string(), false, static_cast<std::int64_t>(fs::file_size(file)),
                         torch::kByte);
  auto text = std::make_shared<std::string>(read_unpacked(file));
  return torch::from_blob(
      text->data(), {static_cast<std::int64_t>(text->size())}, [text](void*) {}, torch::kByte);
}

}  // namespace marginalia
