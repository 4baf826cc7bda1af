#pragma once

#include <cstdint>

#include <torch/version.h>
#include <boost/config.hpp>
#include <boost/preprocessor/stringize.hpp>

#include <marginalia/registry.h>

namespace marginalia {

/// Raised by one when a header that plugins include changes a layout, a virtual or an inline body.
inline constexpr std::uint32_t kPluginAbi = 8;

/// What must be equal on both sides before C++ objects may cross. Not the build type: an optimised
/// host loads a debug plugin.
inline constexpr const char* kBuildStamp =
    BOOST_COMPILER ", " BOOST_STDLIB ", LibTorch " TORCH_VERSION
                   ", CXX11_ABI=" BOOST_PP_STRINGIZE(_GLIBCXX_USE_CXX11_ABI);

/// The one symbol a plugin exports: plain data, which the host can read before it trusts the rest.
struct PluginManifest {
  std::uint32_t abi;          ///< kPluginAbi of the headers the plugin was built with; stays first
  const char* build;          ///< kBuildStamp likewise
  const char* name;           ///< from marginalia_add_plugin
  const char* version;        ///< the version of the project that calls marginalia_add_plugin
  void (*add_to)(Registry&);  ///< adds the components; called once both checks have passed
};

}  // namespace marginalia

/// Ends a plugin's source file, naming the components it offers:  MARGINALIA_PLUGIN(Ising);
#define MARGINALIA_PLUGIN(...)                                                          \
  extern "C" BOOST_SYMBOL_EXPORT const marginalia::PluginManifest marginalia_plugin = { \
      marginalia::kPluginAbi, marginalia::kBuildStamp, MARGINALIA_PLUGIN_NAME,          \
      MARGINALIA_PLUGIN_VERSION,                                                        \
      [](marginalia::Registry& registry) { registry.add<__VA_ARGS__>(); }}
