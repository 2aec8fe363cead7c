# Everything a user or a developer types. Each target works alone on Debian 12 with the Swift toolchain.
SHELL := /bin/bash
CONFIG ?= config.dev.json
PREFIX ?= /usr/local
TIME ?= 60
RUNS ?= 200
SWIFT ?= swift
BINARIES := .build/release

.DEFAULT_GOAL := build
.PHONY: setup build release run test check fmt bench fuzz tsan asan docs clean compare crash hostile ci install judges auth-lab auth-cost relay-crash relay-hostile relay-compare tls-lab reports interop dns-stall defense-lab siege pressure-lab greylist-lab milter-lab poison-lab

# Debian packages: libraries to build with, then tools that tests use.
setup:
	@tools/setup.sh

build: setup
	$(SWIFT) build

release: setup
	$(SWIFT) build -c release --product martlet

run: release
	$(BINARIES)/martlet init --config $(CONFIG)
	@tools/welcome.sh $(CONFIG)
	@exec $(BINARIES)/martlet serve --config $(CONFIG)

test: setup
	$(SWIFT) build --build-tests
	$(SWIFT) build --product martlet
	Tests/EndToEnd/run.py --bin .build/debug
	$(SWIFT) test --skip-build

check: setup
	$(SWIFT) format lint --strict --parallel --recursive Package.swift Sources Tests Benchmarks
	$(SWIFT) build --explicit-target-dependency-import-check error
	$(SWIFT) test --filter TidyTests

fmt:
	$(SWIFT) format --in-place --parallel --recursive Package.swift Sources Tests Benchmarks

# docs/standards.md and docs/metrics.md come from the sources; TidyTests fails when they are stale.
docs: setup
	MARTLET_WRITE_DOCS=1 $(SWIFT) test --filter TidyTests

bench: setup
	$(SWIFT) build -c release --product martlet-bench

# make fuzz T=FuzzHTTP TIME=60; without T every target runs.
fuzz: setup
	tools/fuzz.sh "$(T)" $(TIME)

tsan: setup
	TSAN_OPTIONS=suppressions=$(CURDIR)/Tests/tsan-suppressions.txt $(SWIFT) test --sanitize=thread --scratch-path .build-tsan

asan: setup
	# Leaks are judged by a running server: LeakSanitizer cannot follow the runtime's tagged pointers.
	ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test --sanitize=address --scratch-path .build-asan

compare: release bench
	tools/compare.sh

crash: release bench
	tools/crash.py --rounds $(RUNS)

hostile: release bench
	tools/hostile.py

# Signatures and seals of ours judged by others, and theirs by us: wants python3-dkim, opendkim, rspamd,
# which Debian's own Python sees.
judges: release
	/usr/bin/python3 tools/judges.py --bin $(BINARIES)

auth-lab: release
	tools/authlab.py --bin $(BINARIES)

auth-cost: release bench
	tools/auth_cost.py --bin $(BINARIES)

relay-crash: release bench
	tools/relay_crash.py --rounds $(RUNS)

relay-hostile: release bench
	tools/relay_hostile.py

# Wants root, and the conformance folder beside the checkout or named.
CONFORMANCE ?= ../shared/conformance
PEERS ?= ../shared/peers
tls-lab: release bench
	tools/tls_lab.py --conformance $(CONFORMANCE) --bin $(BINARIES)

reports: release bench
	tools/reports.py --bin $(BINARIES)

interop: release bench
	tools/interop.py --bin $(BINARIES) --peers $(PEERS)

dns-stall: release bench
	tools/dns_stall.py --bin $(BINARIES)

relay-compare: release bench
	tools/relay_compare.sh

# Every defence by real clients, before and after its setting changes.
defense-lab: release
	tools/defense_lab.py --bin $(BINARIES)

# Tarpitted, idle and flooding clients at once, beside good ones.
siege: release
	tools/siege.py --bin $(BINARIES)

# Wants root (a small disk) and cc.
pressure-lab: release
	tools/pressure_lab.py --bin $(BINARIES)

# Postfix as the sender that comes back; about six minutes. Wants root.
greylist-lab: release
	tools/greylist_lab.py --bin $(BINARIES) --peers $(PEERS)

# Wants rspamd, opendkim, python3-dkim.
milter-lab: release
	/usr/bin/python3 tools/milter_lab.py --bin $(BINARIES)

# A build whose marked messages trap it.
poison-lab: setup
	$(SWIFT) build -c release --scratch-path .build-trap --product martlet -Xswiftc -DMARTLET_TRAP
	tools/poison_lab.py --bin .build-trap/release

ci: check test tsan asan

install: release
	install -D -m 755 $(BINARIES)/martlet $(DESTDIR)$(PREFIX)/bin/martlet

clean:
	rm -rf .build .build-*
