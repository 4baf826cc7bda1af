#pragma once

#include <boost/config.hpp>
#include <boost/preprocessor/cat.hpp>
#include <boost/preprocessor/seq/for_each.hpp>
#include <boost/preprocessor/variadic/to_seq.hpp>

#include <marginalia/registry.h>

namespace marginalia {

/// The one symbol a plugin exports. It is weak, so that a test may link the objects of several
/// plugins. Beside it stands the build stamp (build_stamp.h), which marginalia_add_plugin compiles
/// into each.
struct PluginManifest {
  const char* name;           ///< from marginalia_add_plugin
  const char* version;        ///< the version of the project that calls marginalia_add_plugin
  void (*add_to)(Registry&);  ///< adds the components; called once the stamp was found equal
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

#define MARGINALIA_MANIFEST(...)                                                               \
  extern "C"                                                                                   \
      [[gnu::weak]] BOOST_SYMBOL_EXPORT const marginalia::PluginManifest marginalia_plugin = { \
          MARGINALIA_PLUGIN_NAME, MARGINALIA_PLUGIN_VERSION, __VA_ARGS__}
#define MARGINALIA_DECLARE_PART(r, data, part) \
  void BOOST_PP_CAT(marginalia_add_, part)(marginalia::Registry&);
#define MARGINALIA_ADD_PART(r, registry, part) BOOST_PP_CAT(marginalia_add_, part)(registry);
