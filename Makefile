# SPDX-License-Identifier: GPL-2.0-only
# The face of the build; Meson does the work beneath.

BUILD ?= build

.PHONY: all deps demo check check-keepalived check-shim check-vm hammer bench bench-vm \
	oracle oracle-long corpus install deb format lint clean

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

# Debian's keepalived on two directors, at length, with figures; make check has a sample of it.
check-keepalived: all
	@BPVS_KEEPALIVED=full tests/run -s tests/netns -k keepalived

check-vm: all
	@BPVS_VM=full tests/run tests/vm/test_vm_netns.py

# Programs of kernel IPVS: every recorded case, and new messages beside the kernel's own answers.
check-shim: all
	@BPVS_SHIM=full tests/run tests/prog/test_shim.py tests/vm/test_vm_shim.py \
		tests/vm/test_vm_proc.py

bench: all
	@tests/bench/run
	@tests/bench/control.py $(if $(BENCH),--services 100 --servers 20)

bench-vm: all
	@tests/vm/bench
	@tests/bench/control.py --vm

# Kernel IPVS and BPVS side by side (tests/oracle): KERNEL=6.12 SEED=7 COUNT=500 ONLY=persist
KERNEL ?= 6.1
SEED ?= 1
oracle: all
	@tests/oracle/run --kernel $(KERNEL) --seed $(SEED) --only '$(ONLY)' \
		$(if $(COUNT),--count $(COUNT)) $(if $(BPVS),--bpvs $(BPVS)) \
		$(if $(QUICK),--quick $(QUICK))

oracle-long: all
	@tests/oracle/run --kernel $(KERNEL) --seed $(SEED) --count $(or $(COUNT),2000) \
		$(if $(BPVS),--bpvs $(BPVS)) $(if $(QUICK),--quick $(QUICK))

# Command lines through the original ipvsadm and ours (tests/corpus): ON=stub ONLY=restore SEED=7
corpus: all
	@tests/corpus/run --kernel $(KERNEL) --seed $(SEED) --only '$(ONLY)' --on $(or $(ON),live) \
		$(if $(COUNT),--count $(COUNT))

# bpvs and bpvs-ipvsadm for Debian 12, in $(BUILD)/deb
deb:
	@BPVS_BUILD=$(BUILD) tools/make-deb

install: all
	@ninja -C $(BUILD) install

format:
	@tools/lint --fix

lint:
	@tools/lint

clean:
	@rm -rf $(BUILD)
