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

# More crashes than CI has time for: make test-power-cuts ROUNDS=200 FS=xfs
.PHONY: test-power-cuts test-kills
ROUNDS ?= 200
FS ?= ext4
test-power-cuts:
	MAILY_CUTS=$(ROUNDS) MAILY_CUT_FS=$(FS) cargo test -p maily --test flows -- --nocapture power_cut

test-kills:
	MAILY_KILLS=$(ROUNDS) cargo test -p maily --test flows -- --nocapture kill_9
