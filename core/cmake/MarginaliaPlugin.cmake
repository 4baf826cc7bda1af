# marginalia_add_plugin(<name> <source>...)
#
# Builds one plugin library, marginalia_<name>, linked to marginalia::core, and puts it where the
# host looks: <build>/plugins when building, <libdir>/marginalia/plugins when installing. In-tree and
# out-of-tree plugins call the same function; find_package(Marginalia) provides it.
function(marginalia_add_plugin name)
  add_library(marginalia_${name} MODULE ${ARGN})
  target_link_libraries(marginalia_${name} PRIVATE marginalia::core)
  if(TARGET marginalia_precompiled)  # in the tree
    target_link_libraries(marginalia_${name} PRIVATE marginalia_warnings)
    target_precompile_headers(marginalia_${name} REUSE_FROM marginalia_precompiled)
  endif()
  target_compile_features(marginalia_${name} PRIVATE cxx_std_20)
  target_compile_definitions(marginalia_${name} PRIVATE
    MARGINALIA_PLUGIN_NAME="${name}" MARGINALIA_PLUGIN_VERSION="${PROJECT_VERSION}")
  target_link_options(marginalia_${name} PRIVATE
    "$<$<PLATFORM_ID:Linux>:-Wl,-z,defs;-Wl,-z,nodelete;-Wl,--build-id>")
  set_target_properties(marginalia_${name} PROPERTIES
    PREFIX ""
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    INSTALL_RPATH "$ORIGIN/../.."
    LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/plugins")
  install(TARGETS marginalia_${name}
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/marginalia/plugins")
endfunction()
