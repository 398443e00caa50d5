# make test: all that CI runs. It needs a Rust toolchain and a C compiler.
.PHONY: test lint

test: lint
	@if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --workspace --no-tests=pass; \
	else \
		cargo test --workspace --quiet; \
	fi

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
