#pragma once

#include <torch/version.h>
#include <boost/config.hpp>
#include <boost/preprocessor/stringize.hpp>

#include <marginalia/headers_digest.h>

/// What must be equal on both sides before C++ objects may cross: the installed headers, compiler,
/// standard library, LibTorch and string ABI. Not the build type: an optimised host loads a debug
/// plugin.
#define MARGINALIA_BUILD_STAMP                                                            \
  "headers " MARGINALIA_HEADERS_VERSION " " MARGINALIA_HEADERS_DIGEST ", " BOOST_COMPILER \
  ", " BOOST_STDLIB ", LibTorch " TORCH_VERSION                                           \
  ", CXX11_ABI=" BOOST_PP_STRINGIZE(_GLIBCXX_USE_CXX11_ABI)

/// Puts a stamp, as text, into the section ".marginalia" of a plugin's file, where the host reads
/// it before it loads the library.
#define MARGINALIA_PUT_STAMP(...) \
  [[gnu::section(".marginalia"), gnu::used]] static const char marginalia_stamp[] = __VA_ARGS__

namespace marginalia {

inline constexpr const char* kBuildStamp = MARGINALIA_BUILD_STAMP;

}  // namespace marginalia
