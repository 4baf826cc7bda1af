#!/usr/bin/env bash
# Every density-estimation table with every family: all.sh OUT [NAME...]
# A run that is there already is left alone, so that the sweep can be done in several sittings.
set -u
out=${1:?usage: all.sh OUT [NAME...]}
shift
here=$(cd "$(dirname "$0")" && pwd)
program=${MARGINALIA:-$here/../../build/release/bin/marginalia}
names=${*:-nltcs msnbc kdd baudio jester bnetflix accidents dna kosarek msweb book tmovie cr52 c20ng bbc ad}
for name in $names; do
  for spec in independent chow_liu nltcs nltcs_mam; do
    family=$spec
    case $spec in nltcs) family=any_order_arm ;; nltcs_mam) family=mam ;; esac
    run=$out/$name.$family
    [ -e "$run" ] && continue
    settings=()
    [ "$spec" = nltcs_mam ] && settings=("training.init=$out/$name.any_order_arm")
    case $name.$spec in  # few rows of many variables: conditionals start from a tree
      dna.nltcs | cr52.nltcs | c20ng.nltcs | bbc.nltcs | ad.nltcs) settings+=(network.prior=chow_liu) ;;
      dna.nltcs_mam | cr52.nltcs_mam) settings+=(network.conditional.prior=chow_liu) ;;
      c20ng.nltcs_mam | bbc.nltcs_mam | ad.nltcs_mam)
        settings+=(network.conditional.prior=chow_liu network.causal.dropout=0.3 training.batch_size=16) ;;
    esac
    "$program" run "$here/$spec.json" --out "$run" dataset.name="$name" "${settings[@]}" ||
      echo "all.sh: $run failed" >&2
  done
done
