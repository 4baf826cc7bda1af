#!/bin/bash
# Takes the pictures of docs/pictures: the pages of a run and of a study, as chromium shows them.
#   tests/guides/pictures.sh [PROGRAM]        needs chromium; three minutes of a core
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$(realpath "${1:-$root/build/release/bin/marginalia}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# take PAGE PICTURE HEIGHT: the top of a page, 1120 pixels wide.
take() {
  chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$scratch/profile" \
    --window-size="1120,$3" --virtual-time-budget=5000 --screenshot="$root/docs/pictures/$2" "file://$scratch/runs/$1" \
    2> "$scratch/chromium.log"
}

cd "$scratch"
"$program" run "$root/experiments/ising/smoke.json"
"$program" study "$root/experiments/studies/first.json"
take smoke/report.html report.png 620
take first/report.html study.png 700
ls -l "$root"/docs/pictures/*.png
