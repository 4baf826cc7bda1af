# marginalia_add_plugin(<name> <source>... [LINKS <library>...] [USES <shared part>...])
#
# Builds one plugin library, marginalia_<name>, linked to marginalia::sdk and marginalia::inference, and puts
# it where the host looks: <build>/plugins when building, <libdir>/marginalia/plugins when installing.
# In-tree and out-of-tree plugins call the same function; find_package(Marginalia) provides it.
# LINKS: libraries that it needs beside. USES: parts of plugins/shared, in the tree alone. The objects
# are a library of their own, marginalia_<name>_objects, which tests link.
set(marginalia_stamp_source ${CMAKE_CURRENT_LIST_DIR}/MarginaliaStamp.cpp)
function(marginalia_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINKS;USES")
  set(objects marginalia_${name}_objects)
  add_library(${objects} OBJECT ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(${objects} PUBLIC marginalia::inference marginalia::sdk ${arg_LINKS})
  foreach(part IN LISTS arg_USES)
    if(NOT TARGET marginalia_shared_${part})
      message(FATAL_ERROR "marginalia_add_plugin(${name}): USES ${part}: plugins/shared of Marginalia's "
        "own tree is not installed; a plugin outside of it has its own sources and LINKS")
    endif()
    target_link_libraries(${objects} PUBLIC marginalia_shared_${part})
  endforeach()
  if(TARGET marginalia_precompiled)  # in the tree
    target_link_libraries(${objects} PRIVATE marginalia_warnings)
    target_precompile_headers(${objects} REUSE_FROM marginalia_precompiled)
  endif()
  target_compile_features(${objects} PRIVATE cxx_std_20)
  target_compile_definitions(${objects} PRIVATE
    MARGINALIA_PLUGIN_NAME="${name}" MARGINALIA_PLUGIN_VERSION="${PROJECT_VERSION}")
  add_library(marginalia_${name} MODULE ${marginalia_stamp_source})
  target_link_libraries(marginalia_${name} PRIVATE ${objects})
  target_link_options(marginalia_${name} PRIVATE
    "$<$<PLATFORM_ID:Linux>:-Wl,-z,defs;-Wl,-z,nodelete;-Wl,--build-id>")
  set_target_properties(${objects} PROPERTIES
    POSITION_INDEPENDENT_CODE ON
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
  target_compile_features(marginalia_${name} PRIVATE cxx_std_20)
  set_property(GLOBAL APPEND PROPERTY MARGINALIA_PLUGINS marginalia_${name})
  set_target_properties(marginalia_${name} PROPERTIES
    PREFIX ""
    CXX_EXTENSIONS OFF
    DISABLE_PRECOMPILE_HEADERS ON
    UNITY_BUILD OFF
    INSTALL_RPATH "$ORIGIN/../.."
    LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/plugins")
  install(TARGETS marginalia_${name}
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/marginalia/plugins")
endfunction()
