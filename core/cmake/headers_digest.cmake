# The digest of the installed headers, which is part of the build stamp (build_stamp.h): a plugin is built
# with headers and linked against a library made with headers, and both must be the same.
#
# Included by core/CMakeLists.txt it adds the target marginalia_headers_digest, which writes
# <build>/include/marginalia/headers_digest.h whenever a header changed; run as a script (cmake -D
# INCLUDE=... -D OUTPUT=... -P) it does that. Comments and white space do not count.
if(NOT CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  set(output ${CMAKE_BINARY_DIR}/include/marginalia/headers_digest.h)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/include/*.h)
  add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/headers_digest.stamp BYPRODUCTS ${output}
    COMMAND ${CMAKE_COMMAND} -D INCLUDE=${CMAKE_CURRENT_SOURCE_DIR}/include -D OUTPUT=${output}
      -D VERSION=${PROJECT_VERSION}
      -P ${CMAKE_CURRENT_LIST_FILE}
    COMMAND ${CMAKE_COMMAND} -E touch ${CMAKE_BINARY_DIR}/headers_digest.stamp
    DEPENDS ${headers} ${CMAKE_CURRENT_LIST_FILE}
    COMMENT "Digesting the installed headers" VERBATIM)
  add_custom_target(marginalia_headers_digest DEPENDS ${CMAKE_BINARY_DIR}/headers_digest.stamp)
  return()
endif()

cmake_minimum_required(VERSION 3.25)  # its policies: as a script this file has no other
file(GLOB_RECURSE headers RELATIVE ${INCLUDE} ${INCLUDE}/*.h)
list(SORT headers)
set(all "")
foreach(header IN LISTS headers)
  file(READ ${INCLUDE}/${header} text)
  string(REPLACE ";" "," text "${text}")
  string(REGEX REPLACE "//[^\n]*" "" text "${text}")
  string(REGEX REPLACE "[ \t\r\n]+" " " text "${text}")
  string(APPEND all "${header}\n${text}\n")
endforeach()
string(SHA256 digest "${all}")
string(SUBSTRING ${digest} 0 16 digest)
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#pragma once

/// Of the headers that this one was installed with, by core/cmake/headers_digest.cmake.
#define MARGINALIA_HEADERS_VERSION \"@VERSION@\"
#define MARGINALIA_HEADERS_DIGEST \"@digest@\"
" @ONLY)  # written only where it differs
