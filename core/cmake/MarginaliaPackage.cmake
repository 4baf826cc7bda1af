# What is installed beside the targets, and `make package`: two Debian packages, marginalia to use and
# marginalia-dev to write plugins with.
install(DIRECTORY experiments DESTINATION ${CMAKE_INSTALL_DATADIR}/marginalia)
install(DIRECTORY docs/guides docs/reference docs/decisions docs/pictures DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/marginalia)
install(FILES docs/concepts.md docs/index.md docs/references.bib docs/spec.schema.json README.md
  CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/marginalia)
# Descriptions of the components, so that the program need not be allowed to write them there.
install(CODE "execute_process(OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY
  COMMAND \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/marginalia\" list)"
  COMPONENT runtime)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME marginalia)
set(CPACK_PACKAGE_CONTACT "The Marginalia project <marginalia@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY
  "generative models of discrete data that answer any marginal question")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL runtime dev)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME marginalia)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR}/lib)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS libopenblas0-openmp)  # the reference BLAS is 50 times slower
set(CPACK_DEBIAN_DEV_PACKAGE_NAME marginalia-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "marginalia (= ${PROJECT_VERSION}), g++, cmake, make, \
libtorch-dev, libboost-dev, nlohmann-json3-dev, libfmt-dev")
get_property(python GLOBAL PROPERTY MARGINALIA_PYTHON)
if(python)
  list(APPEND CPACK_COMPONENTS_ALL python)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_NAME python3-marginalia)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_PYTHON_PACKAGE_DEPENDS "marginalia (= ${PROJECT_VERSION}), python3-numpy")
  get_property(version GLOBAL PROPERTY MARGINALIA_PYTHON_VERSION)
  # frames; and what the program opens for energies in Python
  set(CPACK_DEBIAN_PYTHON_PACKAGE_RECOMMENDS "python3-pandas, libpython${version}")
endif()
include(CPack)
