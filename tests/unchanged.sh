#!/usr/bin/env bash
# Tells whether a change left the numbers as they were, bit for bit: builds the commit BASE beside this
# tree, runs the same experiments in one thread and float32 with both programs, and compares.
set -euo pipefail

usage() {
  cat <<'END'
tests/unchanged.sh BASE [--program FILE] [--base FILE] [--folder DIR]
  BASE              the commit to compare with
  --program FILE    the program to try; default build/release/bin/marginalia
  --base FILE       a program already built from BASE, in place of building it
  --folder DIR      where BASE is built and the runs stand, kept; default a new folder, removed at the end
MARGINALIA_DATA names the data directory; without nltcs in it, that run is left out, and said so.
Exit status: 0 where every number is the same, 1 where one differs, 2 where it could not be tried.
END
}
fail() {
  echo "unchanged.sh: $*" >&2
  exit 2
}

base= program=build/release/bin/marginalia built= folder=
while [ $# -gt 0 ]; do
  case $1 in
    --program | --folder) declare "${1#--}=${2?a value must follow $1}" && shift ;;
    --base) built=${2?a value must follow --base} && shift ;;
    --help) usage && exit ;;
    -*) fail "there is no option $1; see --help" ;;
    *) base=$1 ;;
  esac
  shift
done
[ -n "$base" ] || { usage >&2 && exit 2; }
cd "$(dirname "$0")/.."
program=$(realpath "$program") || fail "$program: build it first: make build"
if [ -z "$folder" ]; then
  folder=$(mktemp -d)
  trap 'git worktree remove --force "$folder/base" 2>/dev/null || true; rm -rf "$folder"' EXIT
fi
mkdir -p "$folder"
folder=$(realpath "$folder")
if [ -z "$built" ]; then
  [ -d "$folder/base" ] || git worktree add --detach "$folder/base" "$base" >&2
  (cd "$folder/base" && cmake --preset release >"$folder/configure.log" && cmake --build --preset release >"$folder/build.log") ||
    fail "$base could not be built; see $folder/build.log"
  built=$folder/base/build/release/bin/marginalia
fi

# Each program runs the specs of its own commit: their format may differ.
mkdir -p "$folder/base-specs"
git archive "$base" experiments | tar x -C "$folder/base-specs"
specs_of() { [ "$1" = base ] && echo "$folder/base-specs/experiments" || echo experiments; }

experiments=(
  "ising/smoke.json training.steps=200"
  "ising/gflownet_4x4.json training.steps=100"
  "ising/masked_diffusion_4x4.json training.steps=100 evaluation.rows=100 evaluation.metrics=[\"kl_reverse\",\"elbo\"]"
)
if [ -d "${MARGINALIA_DATA:-/nowhere}/density" ]; then
  experiments+=(
    "table/nltcs.json training.steps=200"
    "table/circuit.json training.steps=5 training.budget.seconds=0"
    "table/continuous_mixture.json training.steps=50 training.budget.seconds=0"
  )
else
  echo "nltcs, circuit, continuous_mixture: left out, density/ is not in \$MARGINALIA_DATA"
fi

# What a run said, without times, places and versions.
numbers() {
  python3 - "$1" <<'PY'
import json, pathlib, sys
run = pathlib.Path(sys.argv[1])
timed = {"seconds", "marginal_seconds", "cost"}
words = {"route", "certified_by"}  # which way a number came, no number
def strip(value):
    if isinstance(value, dict):
        return {k: strip(v) for k, v in value.items() if k not in timed | words and not k.endswith("seconds")}
    return [strip(v) for v in value] if isinstance(value, list) else value
print(json.dumps(strip(json.loads((run / "evaluation.json").read_text())), sort_keys=True))
for line in (run / "metrics.jsonl").read_text().splitlines():
    print(json.dumps(strip(json.loads(line)), sort_keys=True))
print((run / "samples" / "samples.jsonl").read_text(), end="")
PY
}

differ=0
compare() { # NAME A B
  if cmp -s "$2" "$3"; then
    echo "$1: identical ($(wc -l <"$2") lines)"
  else
    echo "$1: DIFFERS: diff $2 $3"
    differ=1
  fi
}
for side in base here; do
  mkdir -p "$folder/$side-runs"
done
for entry in "${experiments[@]}"; do
  read -r spec settings <<<"$entry"
  name=$(tr '/' '-' <<<"${spec%.json}")
  [ -f "experiments/$spec" ] || fail "experiments/$spec is not there"
  for side in base here; do
    [ $side = base ] && run=$built || run=$program
    out=$folder/$side-runs/$name
    rm -rf "$out"
    # shellcheck disable=SC2086
    "$run" run "$(specs_of $side)/$spec" --out "$out" --threads 1 training.precision=float32 $settings \
      >"$out.txt" 2>&1 || fail "$run run $(specs_of $side)/$spec ended badly; see $out.txt"
    numbers "$out" >"$out.numbers"
  done
  compare "$name" "$folder/base-runs/$name.numbers" "$folder/here-runs/$name.numbers"
done
smoke=ising-smoke
printf '%s\n' '{"x": [1,0,null,null,null,null,null,null,null,null,null,null,null,null,null,1]}' \
  '{"x": [null,null,null,1,null,null,null,null,0,null,null,null,null,null,null,null]}' >"$folder/questions.jsonl"
for side in base here; do
  [ $side = base ] && run=$built || run=$program
  "$run" exact "$(specs_of $side)/ising/smoke.json" --threads 1 >"$folder/$side-runs/exact.numbers"
  "$run" marginals "$folder/$side-runs/$smoke" --input "$folder/questions.jsonl" --certify --samples 256 --threads 1 |
    sed -E 's/"seconds":[0-9.e+-]+/"seconds":0/' >"$folder/$side-runs/certify.numbers"
done
compare exact "$folder/base-runs/exact.numbers" "$folder/here-runs/exact.numbers"
compare "marginals --certify" "$folder/base-runs/certify.numbers" "$folder/here-runs/certify.numbers"
exit $differ
