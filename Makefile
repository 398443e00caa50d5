# make test: all that CI runs. It needs a Rust toolchain; tests/install.sh gets the rest.
.PHONY: test lint install

test: install lint
	@if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --workspace --no-tests=pass; \
	else \
		cargo test --workspace --quiet; \
	fi

lint: install
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

install:
	@tests/install.sh

# The HTTP interface against its own description (schemathesis) and against the table of who may do
# what, on daemons of its own. `make test` does the same with fewer requests.
.PHONY: api-check
EXAMPLES ?= 100
api-check: install
	MAILY_API_EXAMPLES=$(EXAMPLES) cargo test -p maily --test front -- --nocapture contract:: roles::

# More crashes than CI has time for: make test-power-cuts ROUNDS=200 FS=xfs
.PHONY: test-power-cuts test-kills
ROUNDS ?= 200
FS ?= ext4
test-power-cuts:
	MAILY_CUTS=$(ROUNDS) MAILY_CUT_FS=$(FS) cargo test -p maily --test flows -- --nocapture power_cut

test-kills:
	MAILY_KILLS=$(ROUNDS) cargo test -p maily --test flows -- --nocapture kill_9

# What we read of bounces of others, by source, and what we read otherwise than expected. CORPUS may be
# any folder of the form that tests/corpora/README.md tells.
.PHONY: corpus
CORPUS ?= tests/corpora
corpus:
	@cargo build --quiet -p maily
	@python3 tests/corpora/score.py target/debug/maily $(CORPUS)

# Fuzzes each target for so long: make fuzz SECONDS=60. What it finds lies in fuzz/artifacts; put it
# among the seeds once it is mended.
.PHONY: fuzz
SECONDS ?= 60
FUZZ_TARGETS = $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs)))
FUZZ = cd fuzz && RUSTC_BOOTSTRAP=1 cargo fuzz
fuzz:
	@cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked
	$(FUZZ) build -O
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; echo "== $$target"; \
		($(FUZZ) run -O $$target corpus/$$target seeds/$$target -- \
			-max_total_time=$(SECONDS) -timeout=25 -rss_limit_mb=1024 -print_final_stats=1 \
			>$$target.log 2>&1; status=$$?; \
			grep -E "number_of_executed|peak_rss|panicked|ERROR" $$target.log; \
			exit $$status) || exit 1; \
	done

# The queue in a world of its own, with many seeds. A failure prints its seed: MAILY_SEED=n runs it.
.PHONY: simulation
simulation:
	MAILY_SEEDS=$${MAILY_SEEDS:-200000} cargo test --release -p maily-tests --test simulation -- --nocapture

# Needs about 600 octets of disk a message; the folder must be on a real disk.
.PHONY: bench-restart
MESSAGES ?= 5000000
FOLDER ?= target
bench-restart:
	MAILY_MESSAGES=$(MESSAGES) MAILY_FOLDER=$(abspath $(FOLDER)) cargo bench -p maily --bench restart

# Who is not written to: ten million of them.
.PHONY: bench-suppressions
bench-suppressions:
	MAILY_FOLDER=$(abspath $(FOLDER)) cargo bench -p maily-benches --bench suppressions

# How fast it is. make bench-relay RELAY_ROUNDS=1 is quick; NOTE says in benches/HISTORY.md what changed.
# Both want a machine that has nothing else to do.
.PHONY: bench bench-relay
bench:
	cargo bench -p maily-benches

RELAY_ROUNDS ?= 5
bench-relay: install
	cargo build --release -p maily -p maily-benches --bins
	python3 benches/relay/relay.py --rounds $(RELAY_ROUNDS) --note "$(NOTE)"

.PHONY: bench-http
HTTP_ROUNDS ?= 3
bench-http: install
	cargo build --release -p maily --bins
	python3 benches/http/mailings.py --rounds $(HTTP_ROUNDS)

# What it costs to look at a queue of five million.
.PHONY: bench-looking
bench-looking:
	MAILY_MESSAGES=$(MESSAGES) cargo bench -p maily-benches --bench looking
