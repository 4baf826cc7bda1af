#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include <zlib.h>

#include <marginalia/dataset.h>

#include "marginalia_test.h"

namespace marginalia::test {

/// A data directory that goes with the test.
struct Folder {
  TempDir folder;
  std::filesystem::path path = folder.path();

  void write(const std::filesystem::path& file, const std::string& text) const {
    std::filesystem::create_directories((path / file).parent_path());
    std::ofstream(path / file) << text;
  }
  /// Gzipped.
  void pack(const std::filesystem::path& file, const std::string& text) const {
    std::filesystem::create_directories((path / file).parent_path());
    const auto out = gzopen((path / file).c_str(), "wb");
    gzwrite(out, text.data(), static_cast<unsigned>(text.size()));
    gzclose(out);
  }
  /// As `zip` writes it, with one file, stored.
  void zip(const std::filesystem::path& file, const std::string& text) const {
    const auto number = [](std::uint64_t value, int bytes) {
      std::string out;
      for (int i = 0; i < bytes; ++i)
        out += i < 8 ? static_cast<char>(value >> (8 * i)) : '\0';
      return out;
    };
    const auto sum = crc32(0, reinterpret_cast<const Bytef*>(text.data()), uInt(text.size()));
    const auto sizes = number(sum, 4) + number(text.size(), 4) + number(text.size(), 4);
    const auto entry = number(20, 2) + number(0, 8) + sizes + number(1, 2) + number(0, 2);
    const auto body = "PK\x03\x04" + entry + "x" + text;
    const auto central = "PK\x01\x02" + number(20, 2) + entry + number(0, 14) + "x";
    const auto end = "PK\x05\x06" + number(0, 4) + number(1, 2) + number(1, 2) +
                     number(central.size(), 4) + number(body.size(), 4) + number(0, 2);
    write(file, body + central + end);
  }
};

inline std::shared_ptr<Dataset> make_dataset(const std::string& spec,
                                             const std::filesystem::path& data) {
  return loaded_registry().make<Dataset>(
      Spec::from_text(spec, "spec.json", {data / "beside", data}));
}

/// What is said of a dataset; the data directory is written as DATA.
inline std::string dataset_refusal(const std::string& spec, const std::filesystem::path& data) {
  auto text = refusal([&] { make_dataset(spec, data); });
  for (auto at = text.find(data.string()); at != text.npos; at = text.find(data.string()))
    text.replace(at, data.string().size(), "DATA");
  return text;
}

inline torch::Tensor all_rows(const Dataset& dataset, Split split, std::uint64_t key = 0) {
  return dataset.rows(split, torch::arange(dataset.size(split)), key);
}

}  // namespace marginalia::test
