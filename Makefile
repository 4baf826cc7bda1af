# Two commands for a bare Debian machine, from nothing to a result: make demo, make test.
# They are thin: CMake and its presets do the work. Before them: make; and root, where packages are missing.

PROGRAM := build/release/bin/marginalia
# ON makes warnings errors, as CI does and who changes the code should; a compiler newer than ours
# may warn of what is no fault, which is no reason to stop a user.
WERROR := OFF
# What Debian must have; libopenblas0-openmp because the reference BLAS is fifty times slower.
PACKAGES := g++ cmake ninja-build libtorch-dev libboost-dev libboost-filesystem-dev nlohmann-json3-dev \
  libfmt-dev doctest-dev libtbb-dev libcli11-dev libssl-dev zlib1g-dev libarchive-dev \
  libcurl4-openssl-dev libpng-dev librdkit-dev libgloo-dev libopenblas0-openmp ca-certificates \
  python3-dev python3-numpy pybind11-dev python3-pandas python3-sklearn

.PHONY: demo test build configure setup pytorch bench bench-exact package format check fuzz slow slurm clean

# Installs what is missing of the packages $(1); who is not root is told which they are.
define install
	@missing=$$(for p in $(1); do \
	  dpkg-query -W -f '$${db:Status-Abbrev}' $$p 2>/dev/null | grep -q ^ii || printf ' %s' $$p; done); \
	[ -z "$$missing" ] || { [ "$$(id -u)" = 0 ] && apt-get update && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing; } || \
	  { printf 'missing packages:%s\nas root: apt-get install --no-install-recommends%s\n' \
	    "$$missing" "$$missing" >&2; exit 1; }
endef

setup:
	$(call install,$(PACKAGES))

configure: setup
	cmake --preset release -DCMAKE_COMPILE_WARNING_AS_ERROR=$(WERROR)

build: configure
	cmake --build --preset release

# Builds what the run needs, and nothing else.
demo: configure
	cmake --build --preset demo
	$(PROGRAM) run experiments/ising/smoke.json

# PyTorch, which the benchmark and the re-statements of networks in tests/networks are compared with.
pytorch: setup
	$(call install,python3-torch)

test: build pytorch
	ctest --preset release -LE 'slow|slurm'

# Names what clang-format would write otherwise.
format:
	$(call install,clang-format)
	git ls-files '*.cpp' '*.h' | xargs clang-format --dry-run -Werror

# Files by themselves, sanitizers, linters; with SINCE=REF only sources changed since then, by themselves, and
# none where more than MOST have.
SINCE :=
MOST := 1000000
check: setup pytorch
	$(if $(SINCE),,$(call install,clang-tidy iwyu))
	tests/check.sh $(if $(SINCE),--since $(SINCE) --most $(MOST))

# Readers of files fed with mutants, SECONDS for each format, or MUTANTS of it; FORMAT names one.
SECONDS := 60
MUTANTS := 0
FORMAT :=
fuzz: setup
	tests/fuzz/run.sh build/fuzz $(SECONDS) $(MUTANTS) $(FORMAT)

# What takes too long for every change: before an issue is closed.
slow: build pytorch
	ctest --preset release -L slow

# Studies and runs on a SLURM of this machine alone, which the check starts and stops.
slurm: build
	$(call install,slurm-wlm munge)
	ctest --preset release -L slurm --verbose

bench: build pytorch
	/usr/bin/python3 tests/bench/compare.py --program $(PROGRAM)
	PYTHONPATH=build/release/python /usr/bin/python3 tests/bench/python.py

# Exact sums and most probable states of the public UAI models, beside toulbar2.
bench-exact: build
	$(call install,toulbar2)
	/usr/bin/python3 tests/bench/exact.py --program $(PROGRAM) --out build/bench/exact.md

# build/package/marginalia_VERSION_amd64.deb, and marginalia-dev_... to write plugins with.
package: build
	$(call install,dpkg-dev file)
	cd build/release && cpack -B ../package

clean:
	cmake -E rm -rf build
