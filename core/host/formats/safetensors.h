#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <marginalia/tensor.h>

#include "safetensors_header.h"

namespace marginalia {

/// What a safetensors file holds: named tensors, and text about them.
struct TensorFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
  std::map<std::string, std::string> passed_over =
      {};  ///< name, and a dtype that is not known here
};

/// Writes `content` at `file`, all of it or nothing, as AtomicFile does.
///
/// Tensors of any device and layout in memory, of dtype float64, float32, float16, bfloat16, int64,
/// int32, int16, int8, uint8 or bool. The metadata in the file gets one more key, "sha256": the
/// digest of all that the file says.
void write_safetensors(const std::filesystem::path& file, const TensorFile& content);

/// Reads a whole file, its "sha256" included; the tensors are on the CPU and own their memory.
/// Refuses, with the reason, what is torn, altered or no safetensors file.
TensorFile read_safetensors(const std::filesystem::path& file, Digest digest = Digest::kRequired);

}  // namespace marginalia
