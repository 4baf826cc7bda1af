# Two commands for a bare Debian machine, from nothing to a result: make demo, make test.
# They are thin: CMake and its presets do the work.

PROGRAM := build/release/bin/marginalia
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
	cmake --preset release
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
