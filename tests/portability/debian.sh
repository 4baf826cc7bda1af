#!/usr/bin/env bash
# Tries the README on a bare Debian: makes a minimal system of a suite in a folder, clones the commit
# that is checked out here into it, types `make demo` and `make test` there, and reports. With --package
# also `make package`, whose packages are then installed and used in another bare system of the suite.
set -euo pipefail

usage() {
  cat <<'END'
tests/portability/debian.sh SUITE [options]      as root; SUITE is bookworm, trixie, ...
  --folder DIR      where the system is made and kept, or stands since an earlier run: its packages are
                    there already then, and the tree is cloned anew. Default: a new folder, removed at the end
  --keep            keep the new folder too
  --data DIR        the public files (MARGINALIA_DATA), read-only, for tests that need them
  --only COMMAND    demo, test or package alone
  --package         make package too, and use it in a bare system beside the first
  --werror          make WERROR=ON: warnings are errors
  --mirror URL      default http://deb.debian.org/debian
  --log FILE        default ./debian-SUITE.log
Needs debootstrap, git and room for 7 GB. Exit status: 0 where every command ended well.
END
}
fail() {
  echo "debian.sh: $*" >&2
  exit 2
}

home=srv # of who types, in the system that is made
suite= folder= keep= data= only= package= werror=OFF mirror=http://deb.debian.org/debian log=
while [ $# -gt 0 ]; do
  case $1 in
    --folder | --data | --only | --mirror | --log)
      [ $# -gt 1 ] || fail "a value must follow $1"
      declare "${1#--}=$2"
      shift
      ;;
    --keep) keep=yes ;;
    --package) package=package ;;
    --werror) werror=ON ;;
    --help) usage && exit ;;
    -*) fail "there is no option $1; see --help" ;;
    *)
      [ -z "$suite" ] || fail "one suite at a time: $suite or $1?"
      suite=$1
      ;;
  esac
  shift
done
[ -n "$suite" ] || { usage >&2 && exit 2; }
case $only in
  '' | demo | test | package) ;;
  *) fail "--only $only is not known; there is: demo, test, package" ;;
esac
[ -z "$data" ] || [ -d "$data" ] || fail "--data $data: there is no such folder"
[ "$(id -u)" = 0 ] || fail "mounting and chroot need root: sudo $0 $suite"
for program in debootstrap git unshare; do
  command -v "$program" >/dev/null || fail "$program is missing: apt-get install debootstrap git util-linux"
done

# In a mount namespace of its own, so that nothing stays mounted, however this ends.
if [ -z "${MARGINALIA_MOUNTS-}" ]; then
  again=(--mirror "$mirror" --log "$(realpath "${log:-debian-$suite.log}")")
  [ -z "$folder" ] || again+=(--folder "$(realpath "$folder")")
  [ -z "$data" ] || again+=(--data "$(realpath "$data")")
  [ -z "$only" ] || again+=(--only "$only")
  [ -z "$keep" ] || again+=(--keep)
  [ -z "$package" ] || again+=(--package)
  [ $werror = OFF ] || again+=(--werror)
  MARGINALIA_MOUNTS=own exec unshare --mount --propagation private "$(realpath "$0")" "$suite" "${again[@]}"
fi

cd "$(dirname "$0")/../.."
commit=$(git rev-parse --short HEAD)
[ -z "$(git status --porcelain --untracked-files=no)" ] ||
  echo "debian.sh: what is not committed is not tried; HEAD is $commit" >&2
if [ -n "$folder" ]; then
  keep=yes
else
  folder=$(mktemp -d "${TMPDIR:-/tmp}/marginalia-$suite.XXXXXX")
fi
times=$(mktemp)
: >"$log"

clean_up() {
  trap - EXIT
  for place in data dev proc; do
    for system in "$folder" "$folder-installed"; do
      mountpoint -q "$system/$place" && umount -l "$system/$place"
    done
  done
  rm -f "$times"
  if [ -n "$keep" ]; then
    echo "the system stays in $folder" >&2
  else
    rm -rf --one-file-system "$folder"
  fi
  rm -rf --one-file-system "$folder-installed"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# A command in the system, with nothing of this machine's environment.
inside() {
  chroot "$folder" /usr/bin/env -i HOME="/$home" TERM=dumb LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    ${data:+MARGINALIA_DATA=/data} bash -c "$1"
}

# A folder that is named holds the suite's system already, or nothing.
check_folder() {
  local release=$folder/etc/os-release
  [ ! -d "$folder/debootstrap" ] || fail "$folder: debootstrap did not finish there; remove it"
  if [ -e "$release" ]; then
    grep -q "^VERSION_CODENAME=$suite\$" "$release" ||
      fail "$folder holds another system: $(grep '^PRETTY_NAME=' "$release")"
  elif [ -d "$folder" ] && [ -n "$(ls -A "$folder")" ]; then
    fail "$folder is neither empty nor a system"
  fi
}

make_system() {
  [ -e "$folder/etc/os-release" ] ||
    debootstrap --variant=minbase --include=ca-certificates "$suite" "$folder" "$mirror"
}

mount_devices() {
  mount -t proc proc "$folder/proc"
  mount --bind /dev "$folder/dev"
  [ -n "$data" ] || return 0
  mkdir -p "$folder/data"
  mount --bind "$data" "$folder/data"
  mount -o remount,bind,ro "$folder/data"
}

# What the README wants to be there first, and the tree.
prepare() {
  inside 'apt-get update && apt-get install -y --no-install-recommends git make'
  git bundle create -q "$folder/$home/marginalia.bundle" HEAD
  inside 'rm -rf ~/marginalia && git clone -q ~/marginalia.bundle ~/marginalia'
}

# Types a command in the tree; its name, exit status, processor and wall seconds go to $times.
type_in() {
  local name=$1 status=0 load
  load=$(cut -d ' ' -f 1 /proc/loadavg)
  local TIMEFORMAT='%U %S %R'
  echo "\$ $name" >>"$log"
  { time inside "cd ~/${2:-marginalia} && $name" >>"$log" 2>&1; } 2>"$times.last" || status=$?
  awk -v name="$name" -v load="$load" -v status="$status" \
    '{printf "| `%s` | %.0f | %.0f | %s | %d |\n", name, $1 + $2, $3, load, status}' "$times.last" >>"$times"
  rm -f "$times.last"
  echo "debian.sh: $name: exit status $status" >&2
  return $status
}

# The packages in a system that has seen nothing of the build: the shipped spec is run, and an energy
# of one's own is written, built and used.
try_package() {
  local built=$folder status=0
  folder=$folder-installed
  rm -rf --one-file-system "$folder"
  { make_system && mount_devices; } >>"$log" 2>&1 || fail "the second system could not be made: see $log"
  mkdir -p "$folder/$home/tried" "$folder/$home/packages"
  cp "$built/$home"/marginalia/build/package/*.deb "$folder/$home/packages/"
  for command in 'apt-get update' \
    'apt-get install -y --no-install-recommends ../packages/marginalia_*.deb' \
    'marginalia run /usr/share/marginalia/experiments/ising/smoke.json' \
    'apt-get install -y --no-install-recommends ../packages/marginalia-dev_*.deb' \
    'marginalia new energy my_energy' \
    'cd my_energy && cmake --preset release && cmake --build --preset release' \
    'marginalia run my_energy/spec.json --plugins my_energy/build/plugins'; do
    type_in "$command" tried || status=1
  done
  umount -l "$folder/dev" "$folder/proc"
  folder=$built
  return $status
}

version() {
  inside "dpkg-query -W -f '\${Version}' $1 2>/dev/null" || echo none
}

# The last run of ctest: its tests, and the cases of which they are made.
report_tests() {
  local last=$folder/$home/marginalia/build/release/Testing/Temporary/LastTest.log
  [ -e "$last" ] || return 0
  awk '
    /^Test time =/             { ++run }
    /^Test (Passed\.|Pass Reason)/ { ++passed }
    /^\[doctest\] test cases:/ { cases += $4; cases_passed += $6; cases_failed += $9 }
    /skipped: /                { ++skipped }
    END {
      printf "\nTests: %d run, %d passed, %d failed; ", run, passed, run - passed
      printf "their cases: %d run, %d passed, %d failed, of these %d skipped for what is not there\n",
             cases, cases_passed, cases_failed, skipped
    }' "$last"
  grep -o 'skipped: .*' "$last" | sort | uniq -c | sed 's/^ */- /' || true
}

report() {
  local flags class=neither
  flags=$(grep -m 1 '^flags' /proc/cpuinfo)
  [[ $flags =~ avx2 ]] && class=AVX2
  [[ $flags =~ avx512f ]] && class=AVX-512
  [[ $flags =~ avx512_bf16 ]] && class='AVX-512 with bfloat16'
  echo
  echo "Debian $(cat "$folder/etc/debian_version") ($suite), commit $commit: LibTorch $(version libtorch-dev)," \
    "g++ $(version g++), Boost $(version libboost-dev), RDKit $(version librdkit-dev)," \
    "fmt $(version libfmt-dev), CMake $(version cmake); $(nproc) cores, $class;" \
    "data $([ -n "$data" ] && echo yes || echo no); WERROR=$werror"
  echo
  echo "| command | processor s | wall s | load before | exit status |"
  echo "|---|---|---|---|---|"
  cat "$times"
  report_tests
}

check_folder
make_system >>"$log" 2>&1 || fail "the system could not be made: see $log"
mount_devices
prepare >>"$log" 2>&1 || fail "the tree could not be cloned: see $log"
result=0
options=
[ $werror = OFF ] || options=' WERROR=ON'
# The packages by themselves, so that their time stands apart from that of the build.
type_in 'make setup' || result=1
for command in ${only:-demo test $package}; do
  type_in "make $command$options" || result=1
  [ "$command" != package ] || try_package || result=1
done
report | tee -a "$log"
exit $result
