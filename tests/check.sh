#!/usr/bin/env bash
# What the build and its tests do not see: includes that a file lacks but for its neighbours in a unity
# build or a precompiled header, faults that sanitizers find, and what linters say.
set -euo pipefail

usage() {
  cat <<'END'
tests/check.sh [--since REF [--most N]]
  without options   every file by itself (g++ -fsyntax-only), the tests of the SDK, its readers among them,
                    under AddressSanitizer, clang-tidy and include-what-you-use on what includes no LibTorch
  --since REF       the sources changed since the merge base with REF alone, by themselves
  --most N          none of them where more than N have changed, which is said: each takes some ten seconds
Exit status: 0 where nothing was found.
END
}
fail() {
  echo "check.sh: $*" >&2
  exit 2
}
since= most=1000000
while [ $# -gt 0 ]; do
  case $1 in
    --since) since=${2?a value must follow --since} && shift ;;
    --most) most=${2?a value must follow --most} && shift ;;
    --help) usage && exit ;;
    *) fail "there is no option $1; see --help" ;;
  esac
  shift
done
cd "$(dirname "$0")/.."

if [ -n "$since" ]; then
  base=$(git merge-base "$since" HEAD) || fail "$since: no common commit"
  files=$(git diff --name-only --diff-filter=d "$base" -- '*.cpp')
else
  files=$(git ls-files '*.cpp')
fi
[ -n "$files" ] || { echo "no source has changed since $since" && exit 0; }
count=$(wc -l <<<"$files")
[ "$count" -le "$most" ] || { echo "skipped: $count sources have changed, more than $most; make check tries all" && exit 0; }

# A build that is configured only: no unity, no precompiled headers.
mkdir -p build
cmake -S . -B build/check -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_EXPORT_COMPILE_COMMANDS=ON \
  -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON -DCMAKE_UNITY_BUILD=OFF >build/check-configure.txt ||
  { cat build/check-configure.txt >&2; fail "could not be configured"; }
cmake --build build/check --target marginalia_headers_digest >/dev/null
faults=0
python3 - $files <<'PY' || faults=1
import concurrent.futures, json, os, pathlib, shlex, subprocess, sys
root = os.getcwd()
wanted = {os.path.join(root, f) for f in sys.argv[1:]}
calls = {}
for entry in json.loads(pathlib.Path("build/check/compile_commands.json").read_text()):
    if entry["file"] in wanted and entry["file"] not in calls:
        words = shlex.split(entry["command"])
        at = words.index("-o")
        calls[entry["file"]] = words[:at] + words[at + 2:] + ["-fsyntax-only"], entry["directory"]
def check(item):
    file, (words, folder) = item
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    return file, done.returncode, done.stderr
bad = 0
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for file, status, said in pool.map(check, sorted(calls.items())):
        if status or said:
            bad += 1
            print(f"{os.path.relpath(file, root)}\n{said}", file=sys.stderr)
print(f"{len(calls)} files by themselves: {bad} with faults")
sys.exit(bad > 0)
PY
[ -z "$since" ] || exit $faults

cmake --preset asan >/dev/null
cmake --build --preset asan --target marginalia_tests_sdk
ASAN_OPTIONS=detect_leaks=0 build/asan/tests/marginalia_tests_sdk --test-suite-exclude='data/*' || faults=1

light=$(git ls-files 'core/records/*.cpp' 'core/sdk/spec/*.cpp' core/sdk/base/{error,files,json,source,text,unpack}.cpp)
for tool in clang-tidy iwyu_tool; do
  command -v $tool >/dev/null || fail "$tool is missing: apt-get install clang-tidy iwyu"
done
# shellcheck disable=SC2086
clang-tidy --quiet -p build/check $light || faults=1
# shellcheck disable=SC2086
iwyu_tool -p build/check $light -- -Xiwyu --no_fwd_decls | tee build/iwyu.txt
! grep -q 'should add these lines' build/iwyu.txt || echo "see build/iwyu.txt for includes that are missing"
exit $faults
