# Puts the files of the report page into the library, so that the program needs none at run time.
#
# In a CMakeLists.txt:  include(report/page/embed.cmake)
#                       marginalia_embed_report(<target>)
# which adds a generated source that defines report_asset() of report_assets.h.
#
# At build time the same file runs as a script (cmake -D OUTPUT=... -P embed.cmake). Bytes are
# written as character constants, not as string literals, whose length compilers limit.

set(report_files
  page.template.html
  report.css
  study.css
  format.js
  page.js
  plots.js
  sections.js
  scores.js
  columns.js
  report.js
  study_tables.js
  study.js
  vendor/uPlot.iife.min.js
  vendor/uPlot.min.css
  vendor/uPlot.LICENSE)
set(report_folder ${CMAKE_CURRENT_LIST_DIR})

function(marginalia_embed_report target)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/report_assets.cpp)
  list(TRANSFORM report_files PREPEND ${report_folder}/ OUTPUT_VARIABLE inputs)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -D OUTPUT=${output} -P ${report_folder}/embed.cmake
    DEPENDS ${inputs} ${report_folder}/embed.cmake
    COMMENT "Embedding the report page"
    VERBATIM)
  target_sources(${target} PRIVATE ${output})
  set_source_files_properties(${output} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
  target_include_directories(${target} PRIVATE ${report_folder}/..)
endfunction()

if(NOT CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  return()
endif()

set(arrays "")
set(entries "")
set(index 0)
foreach(name IN LISTS report_files)
  file(READ ${report_folder}/${name} bytes HEX)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
  string(REGEX REPLACE "('[^']*','[^']*','[^']*','[^']*','[^']*','[^']*','[^']*','[^']*',)"
    "\\1\n" bytes "${bytes}")
  string(APPEND arrays "const char file_${index}[] = {  // ${name}\n${bytes}'\\0'};\n\n")
  string(APPEND entries
    "  if (name == \"${name}\") return {file_${index}, sizeof file_${index} - 1};\n")
  math(EXPR index "${index} + 1")
endforeach()

file(WRITE ${OUTPUT} "// Written by core/records/report/page/embed.cmake.
#include \"report_assets.h\"

namespace {
${arrays}}  // namespace

std::string_view marginalia::report_asset(std::string_view name) {
${entries}  return {};
}
")
