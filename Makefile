# Two commands for a bare Debian machine, from nothing to a result: make demo, make test.
# They are thin: CMake and its presets do the work. Before them: make, and for a user other than root, sudo.

PROGRAM := build/release/bin/marginalia
# ON makes warnings errors, as CI does and who changes the code should; a compiler newer than ours
# may warn of what is no fault, which is no reason to stop a user.
WERROR := OFF
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# What Debian must have; libopenblas0-openmp because the reference BLAS is fifty times slower.
PACKAGES := g++ cmake ninja-build libtorch-dev libboost-dev libboost-filesystem-dev nlohmann-json3-dev \
  libfmt-dev doctest-dev libtbb-dev libcli11-dev libssl-dev zlib1g-dev libarchive-dev \
  libcurl4-openssl-dev libpng-dev librdkit-dev libopenblas0-openmp ca-certificates

.PHONY: demo test build setup pytorch bench clean

setup:
	@dpkg -s $(PACKAGES) >/dev/null 2>&1 || { $(SUDO) apt-get update && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y --no-install-recommends $(PACKAGES); }

build: setup
	cmake --preset release -DCMAKE_COMPILE_WARNING_AS_ERROR=$(WERROR)
	cmake --build --preset release

demo: build
	$(PROGRAM) run experiments/ising/smoke.json

# PyTorch, which the benchmark and the re-statements of networks in tests/networks are compared with.
pytorch: setup
	@dpkg -s python3-torch >/dev/null 2>&1 || \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y --no-install-recommends python3-torch

test: build pytorch
	ctest --preset release

bench: build pytorch
	/usr/bin/python3 tests/bench/compare.py --program $(PROGRAM)

clean:
	cmake -E rm -rf build
