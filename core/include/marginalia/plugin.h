#pragma once

#include <cstdint>

#include <torch/version.h>
#include <boost/config.hpp>
#include <boost/preprocessor/cat.hpp>
#include <boost/preprocessor/seq/for_each.hpp>
#include <boost/preprocessor/stringize.hpp>
#include <boost/preprocessor/variadic/to_seq.hpp>

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
#define MARGINALIA_PLUGIN(...) \
  MARGINALIA_MANIFEST([](marginalia::Registry& registry) { registry.add<__VA_ARGS__>(); })

/// A plugin of several source files that each offer components: each ends with
///   MARGINALIA_PART(cost, MarginalSeconds, SplitRHat);
/// and one, which need hold nothing else, names them all:  MARGINALIA_PLUGIN_OF(cost, coverage);
#define MARGINALIA_PART(part, ...)                             \
  void marginalia_add_##part(marginalia::Registry& registry) { \
    registry.add<__VA_ARGS__>();                               \
  }
#define MARGINALIA_PLUGIN_OF(...)                                                               \
  BOOST_PP_SEQ_FOR_EACH(MARGINALIA_DECLARE_PART, , BOOST_PP_VARIADIC_TO_SEQ(__VA_ARGS__))       \
  MARGINALIA_MANIFEST([](marginalia::Registry& registry) {                                      \
    BOOST_PP_SEQ_FOR_EACH(MARGINALIA_ADD_PART, registry, BOOST_PP_VARIADIC_TO_SEQ(__VA_ARGS__)) \
  })

#define MARGINALIA_MANIFEST(...)                                                        \
  extern "C" BOOST_SYMBOL_EXPORT const marginalia::PluginManifest marginalia_plugin = { \
      marginalia::kPluginAbi, marginalia::kBuildStamp, MARGINALIA_PLUGIN_NAME,          \
      MARGINALIA_PLUGIN_VERSION, __VA_ARGS__}
#define MARGINALIA_DECLARE_PART(r, data, part) \
  void BOOST_PP_CAT(marginalia_add_, part)(marginalia::Registry&);
#define MARGINALIA_ADD_PART(r, registry, part) BOOST_PP_CAT(marginalia_add_, part)(registry);
