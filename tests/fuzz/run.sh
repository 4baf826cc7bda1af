#!/bin/sh
# Feeds the readers of files with mutants:  run.sh BUILD_FOLDER SECONDS MUTANTS [FORMAT...]
# MUTANTS 0: as many as go into SECONDS, of each format and program. Where clang has libFuzzer, that is used too.
set -eu
here=$(dirname "$(readlink -f "$0")") build=$1 seconds=$2 mutants=$3
shift 3
mkdir -p "$build"
build=$(readlink -f "$build")

build_with() { # FOLDER COMPILER LIBFUZZER
  cmake -S "$here" -B "$1" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER="$2" \
    -DMARGINALIA_LIBFUZZER="$3" >"$1.log" 2>&1 && cmake --build "$1" >>"$1.log" 2>&1
}

build_with "$build/plain" g++ OFF || { tail -n 20 "$build/plain.log"; exit 1; }
cd "$build"
[ $# -gt 0 ] || set -- $(ls "$here/corpus")
for format; do
  if [ "$mutants" = 0 ]; then limit="--seconds $seconds"; else limit="--mutants $mutants"; fi
  plain/marginalia_fuzz --format "$format" $limit
done

clang=$(command -v clang++ || command -v clang++-14 || true)
if [ -z "$clang" ] || ! build_with "$build/clang" "$clang" ON; then
  echo "without libFuzzer: it needs clang (Debian: clang, libclang-rt-14-dev); see $build/clang.log"
  exit 0
fi
for format; do
  if [ "$mutants" = 0 ]; then limit="-max_total_time=$seconds"; else limit="-runs=$mutants"; fi
  mkdir -p "found/$format"
  MARGINALIA_FUZZ_FORMAT=$format clang/marginalia_fuzz $limit -max_len=4096 -close_fd_mask=2 -timeout=1 -rss_limit_mb=1024 \
    -malloc_limit_mb=256 -print_final_stats=1 -artifact_prefix="fault-$format-" \
    "found/$format" "$here/corpus/$format" >"clang-$format.log" 2>&1 ||
    { tail -n 30 "clang-$format.log"; exit 1; }
  echo "$format: libFuzzer: $(sed -n 's/^stat::number_of_executed_units: */inputs /p' "clang-$format.log")"
done
