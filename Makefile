# SPDX-License-Identifier: GPL-2.0-only
# The face of the build; Meson does the work beneath.

BUILD ?= build

.PHONY: all deps demo check bench bench-vm install format lint clean

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
