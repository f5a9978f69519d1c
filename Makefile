# What a person types. `make test` is what CI runs: it installs what the tests need and runs all of them.
.PHONY: run test web deps fmt lint rust-test web-test e2e bars clean-data

run:
	cargo run --release

test: deps fmt lint web-test rust-test e2e

# Debian packages, cargo-nextest, the peers that tests talk to, npm packages. Does nothing where all is there.
deps:
	bash tests/deps.sh

fmt:
	cargo fmt --all -- --check

lint:
	cargo clippy --workspace --all-targets --locked -- -D warnings

# promtool and node_exporter, where tests judge us by them, come from target/peers.
rust-test: export PATH := $(CURDIR)/target/peers/usr/bin:$(PATH)
rust-test:
	cargo nextest run --workspace --locked
	cargo test --workspace --doc --locked

# Type check, unit tests, sizes; then the built files must be the committed ones.
web-test:
	cd web && npm run check
	git diff --exit-code --stat -- web/dist || (echo 'web/dist differs from what its sources build: run make web and commit it' >&2; exit 1)

# The browser against the real binary.
e2e:
	cargo build --locked
	cd web && CAIRN_BIN=$(CURDIR)/target/debug/cairn npm run e2e

# Builds the UI into web/dist, which the binary embeds.
web:
	cd web && npm ci --no-audit --no-fund && npm run build

# The measured bars: size, start, memory. Prints figures, fails over a bar.
bars:
	cargo build --release --locked
	bash benches/bars.sh
