# SPDX-License-Identifier: GPL-2.0-only
# The face of the build; Meson does the work beneath.

BUILD ?= build

.PHONY: all deps demo check hammer bench bench-vm install format lint clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	@meson setup $(BUILD) >/dev/null

deps:
	@tools/deps

demo: deps all
	@lab/demo

check: all
	@tests/run

# The connection table under all CPUs, at length; make check has a sample of it.
hammer: all
	@BPVS_HAMMER=long /usr/bin/python3 -m pytest -q -p no:cacheprovider -s \
		tests/prog/test_hammer.py

bench: all
	@tests/bench/run

bench-vm: all
	@tests/vm/bench

install: all
	@ninja -C $(BUILD) install

format:
	@tools/lint --fix

lint:
	@tools/lint

clean:
	@rm -rf $(BUILD)
