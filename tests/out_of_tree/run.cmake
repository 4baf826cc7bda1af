# cmake -DBUILD=... -DSCRATCH=... -P run.cmake: see CMakeLists.txt.
#
# Everything happens in SCRATCH, which stays for looking at: prefix/ is the installed Marginalia,
# my_KIND/ what `marginalia new` wrote. The energy is built alone, by the three commands of its
# README; the others in one project, which saves configuring LibTorch five times.
set(prefix ${SCRATCH}/prefix)
set(program ${prefix}/bin/marginalia)
set(ENV{MARGINALIA_PLUGINS} "")
set(ENV{LD_LIBRARY_PATH} "")
set(ENV{CMAKE_GENERATOR} "${GENERATOR}")
set(ENV{CXX} "${CXX}")
set(ENV{CMAKE_CXX_COMPILER_LAUNCHER} "${LAUNCHER}")
set(ENV{CMAKE_PREFIX_PATH} "${prefix}:${PREFIX_PATH}")

# Runs a command in `folder`; stops the test, showing all it wrote, unless it exits with `code`.
# What it wrote to stdout is left in `said`.
function(expect code folder)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY ${folder}
    RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT result STREQUAL code)
    list(JOIN ARGN " " command)
    message(NOTICE "${out}\n${err}")
    message(FATAL_ERROR "in ${folder}: ${command}: exit code ${result}, not ${code}")
  endif()
  set(said "${out}" PARENT_SCOPE)
endfunction()

function(expect_file file)
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "${file} is missing")
  endif()
endfunction()

file(REMOVE_RECURSE ${SCRATCH})
file(MAKE_DIRECTORY ${SCRATCH})
expect(0 ${SCRATCH} ${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
expect_file(${prefix}/share/marginalia/template/energy/spec.json)
expect_file(${prefix}/${LIBDIR}/cmake/Marginalia/MarginaliaPlugin.cmake)
expect(0 ${SCRATCH} ${program} list energy)
if(NOT said MATCHES "ising")
  message(FATAL_ERROR "the installed program does not find its plugins:\n${said}")
endif()

# The installed headers are those of core/include, and the one that holds their digest.
file(GLOB_RECURSE ours RELATIVE ${SOURCE}/core/include ${SOURCE}/core/include/*.h)
file(GLOB_RECURSE installed RELATIVE ${prefix}/include ${prefix}/include/*.h)
list(REMOVE_ITEM installed marginalia/headers_digest.h)
list(SORT ours)
list(SORT installed)
if(NOT ours STREQUAL installed)
  message(FATAL_ERROR "installed are\n${installed}\nand not\n${ours}")
endif()

# Each kind: a project, whose name is then taken.
set(kinds energy dataset network family metric tool)
foreach(kind ${kinds})
  expect(0 ${SCRATCH} ${program} new ${kind} my_${kind})
  if(NOT said STREQUAL "my_${kind}\n")
    message(FATAL_ERROR "new ${kind} printed \"${said}\"")
  endif()
  expect(2 ${SCRATCH} ${program} new ${kind} my_${kind})
endforeach()
expect(2 ${SCRATCH} ${program} new energy ising)
expect(2 ${SCRATCH} ${program} new tool run)
expect(2 ${SCRATCH} ${program} new energy My-Energy)
expect(2 ${SCRATCH} ${program} new energy tensor)
expect(2 ${SCRATCH} ${program} new enery my_other)
if(EXISTS ${SCRATCH}/ising OR EXISTS ${SCRATCH}/my_other)
  message(FATAL_ERROR "a refused project was written")
endif()

# The energy, as its README says; the presets hold where the program is.
expect(0 ${SCRATCH}/my_energy ${CMAKE_COMMAND} --preset release)
expect(0 ${SCRATCH}/my_energy ${CMAKE_COMMAND} --build --preset release)

# The others.
list(REMOVE_ITEM kinds energy)
list(TRANSFORM kinds REPLACE "(.+)" "add_subdirectory(my_\\1)\n" OUTPUT_VARIABLE lines)
string(JOIN "" lines ${lines} "add_subdirectory(reaching EXCLUDE_FROM_ALL)\n")
# A plugin that reaches into the host.
file(WRITE ${SCRATCH}/reaching/CMakeLists.txt "find_package(Marginalia REQUIRED)
marginalia_add_plugin(reaching reaching.cpp)\n")
file(WRITE ${SCRATCH}/reaching/reaching.cpp [[
#include <filesystem>
#include <marginalia/plugin.h>
namespace marginalia {
class Experiment;
class RunDirectory;
struct TrainingHooks;
void train(Experiment&, const RunDirectory&, const std::filesystem::path&, const TrainingHooks&);
}  // namespace marginalia
extern "C" BOOST_SYMBOL_EXPORT void* const reached = reinterpret_cast<void*>(&marginalia::train);
MARGINALIA_MANIFEST([](marginalia::Registry&) {});
]])
file(WRITE ${SCRATCH}/CMakeLists.txt
  "cmake_minimum_required(VERSION 3.25)\nproject(rest LANGUAGES CXX)\n${lines}")
expect(0 ${SCRATCH} ${CMAKE_COMMAND} -S . -B build -DCMAKE_BUILD_TYPE=Release)
expect(0 ${SCRATCH} ${CMAKE_COMMAND} --build build)
execute_process(COMMAND ${CMAKE_COMMAND} --build build --target marginalia_reaching
  WORKING_DIRECTORY ${SCRATCH} RESULT_VARIABLE result OUTPUT_VARIABLE out ERROR_VARIABLE err)
if(result STREQUAL 0 OR NOT "${out}${err}" MATCHES "undefined reference to .marginalia::train")
  message(FATAL_ERROR "a plugin that calls marginalia::train: ${result}\n${out}${err}")
endif()

# Every component is there, its spec is sound, and a run of it ends with its figures.
foreach(kind energy ${kinds})
  set(project ${SCRATCH}/my_${kind})
  set(plugins ${SCRATCH}/build/plugins)
  if(kind STREQUAL energy)
    set(plugins build/plugins)
  endif()
  expect(0 ${project} ${program} describe ${kind} my_${kind} --plugins ${plugins})
  if(NOT said MATCHES "## my_${kind}\n")
    message(FATAL_ERROR "describe ${kind} my_${kind} printed:\n${said}")
  endif()
  if(kind STREQUAL tool)
    continue()
  endif()
  expect(0 ${project} ${program} check spec.json --plugins ${plugins})
  expect(0 ${project} ${program} run spec.json training.steps=20 --plugins ${plugins})
  expect_file(${project}/runs/spec/evaluation.json)
endforeach()

# Of columns with 2, 5 and 3 values an answer beyond them is refused, whoever wrote the family.
file(WRITE ${SCRATCH}/my_family/mixed.txt "0 4 2\n1 0 1\n1 1 0\n0 3 2\n1 2 1\n")
expect(0 ${SCRATCH}/my_family ${program} run spec.json dataset.train=mixed.txt dataset.valid=mixed.txt
  dataset.test=mixed.txt evaluation.samples=200 --out runs/mixed --plugins ${SCRATCH}/build/plugins)

file(READ ${SCRATCH}/my_metric/runs/spec/evaluation.json evaluation)
string(JSON value GET "${evaluation}" metrics my_metric mean value)

# The metric declares its label, and that lower is better: a study ranks by it, and reports say it.
file(READ ${SCRATCH}/my_metric/runs/spec/report.html report)
if(NOT report MATCHES [["label":"mean energy"]])
  message(FATAL_ERROR "the report does not know what my_metric is")
endif()
file(WRITE ${SCRATCH}/my_metric/study.json [[
{"marginalia_study": 1, "base": "spec.json", "seeds": 3, "settings": {"training.steps": 1},
 "variants": {"weak": {}, "strong": {"network": null, "family": {"type": "mcmc", "chains": 64, "burn_in": 50}}}}
]])
expect(0 ${SCRATCH}/my_metric ${program} study study.json --threads 1 --plugins ${SCRATCH}/build/plugins)
file(READ ${SCRATCH}/my_metric/runs/study/comparison.json comparison)
foreach(path columns/0/better/lower columns/0/unit/nats rows/1/cells/0/significant/ON)
  string(REPLACE "/" ";" parts ${path})
  list(POP_BACK parts expected)
  string(JSON found GET "${comparison}" table ${parts})
  if(NOT found STREQUAL expected)
    message(FATAL_ERROR "comparison.json: ${path}, and it is ${found}:\n${said}")
  endif()
endforeach()
file(READ ${SCRATCH}/my_metric/runs/study/comparison.md comparison)
if(NOT said MATCHES " \\*-[0-9]" OR NOT comparison MATCHES "\\*\\*-[0-9]")
  message(FATAL_ERROR "no cell of my_metric is marked as the best:\n${said}\n${comparison}")
endif()
expect(2 ${SCRATCH} ${program} new energy my_energy --out other --plugins my_energy/build/plugins)

expect(0 ${SCRATCH} ${program} exact my_energy/spec.json --plugins my_energy/build/plugins)
string(JSON log_z GET "${said}" log_z)
if(NOT log_z MATCHES "^5[.]8444")  # 6 log(1 + e^0.5)
  message(FATAL_ERROR "the energy's log Z is ${log_z}")
endif()

file(WRITE ${SCRATCH}/lines "ising\n")
set(ENV{MARGINALIA_PLUGINS} "${SCRATCH}/build/plugins")
execute_process(COMMAND ${program} my_tool INPUT_FILE ${SCRATCH}/lines
  OUTPUT_VARIABLE said RESULT_VARIABLE result)
if(NOT result STREQUAL 0 OR NOT said STREQUAL "ISING\n")
  message(FATAL_ERROR "my_tool: exit code ${result}, \"${said}\"")
endif()
