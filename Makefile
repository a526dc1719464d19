# Two commands on a fresh Debian 12 machine with Rust, pip and npm: `make demo` and `make test`.
# Each sets the machine up first; what that fetches goes to var/.
#
#   make setup GPU=1         ONNX Runtime with CUDA and TensorRT
#   make setup FROM=DIR      without a network, from a folder made with `scripts/setup --bundle DIR`

SHELL := /bin/bash
SETUP_FLAGS := $(if $(GPU),--gpu) $(if $(FROM),--from $(FROM))
MANIFESTS := config/models
PREPARE := models prepare --manifests $(MANIFESTS) --models var/models --runtime var/lib/libonnxruntime.so --images var/images

prefix ?= /usr/local
sysconfdir ?= /etc
unitdir ?= /etc/systemd/system
INSTALL_FLAGS = --prefix "$(prefix)" --sysconfdir "$(sysconfdir)" --unitdir "$(unitdir)" --destdir "$(DESTDIR)"

.PHONY: help setup demo test bench bench-peers bench-index bench-index-1m bench-restart bench-memory bench-decode life-gallery crash-gallery crash-events bulk-gallery sim-budget torch-fixture training-test training-demo lint fmt doc install uninstall man clean

help: ## what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Debian packages, ONNX Runtime, models, demo pictures, prepared models
	@scripts/setup $(SETUP_FLAGS)
	@cargo build --release --quiet --bin watchlistd
	@target/release/watchlistd $(PREPARE)

demo: setup ## a camera, the daemon, and a verdict, in a minute (ARGS=--forever runs on)
	cargo build --release --features demo
	target/release/watchlistd-demo run $(ARGS)

# Set-up ran: a test that finds no models must fail, not skip.
test: export WATCHLISTD_REQUIRE_MODELS := 1
# Where nothing was built before, keeping what a later build could use again costs more than a minute and a half.
test: export CARGO_INCREMENTAL ?= $(if $(wildcard target/debug/incremental/*),1,0)
# Many tests wait for a peer's time limit, and need no core meanwhile.
test: export RUST_TEST_THREADS ?= $(shell expr 3 '*' $$(nproc))
test: ## every test
	@scripts/setup $(SETUP_FLAGS) --tests
	cargo test --all-features --no-run
	@target/debug/watchlistd $(PREPARE)
	cargo test --all-features --no-fail-fast

bench: setup ## Criterion benches of every kernel
	cargo bench --all-features --bench image --bench detect --bench track --bench index --bench enrol --bench eval --bench events

bench-peers: setup ## the same work in a plain Python loop, in the same run
	benches/peers/run

bench-index: setup ## the indexes beside faiss, hnswlib and usearch (SIZES="1000 10000 100000"); building graphs of 100,000 takes minutes
	benches/index_peers/run

bench-index-1m: export SIZES := 1000000
bench-index-1m: export RESUME := var/bench-index
bench-index-1m: setup ## the same with 1,000,000 templates; goes on where it was stopped
	benches/index_peers/run

bench-restart: ## how soon a gallery of 100,000 encrypted templates answers after a restart, beside hnsw_rs and its dump; some ten minutes
	cargo bench --all-features --bench restart

bench-memory: setup ## resident memory with 1, 4 and 8 cameras
	@cargo build --release --features demo --quiet
	benches/memory

bench-decode: setup ## CPU time of decoding a video through our source
	cargo test --all-features --test source_files -- --ignored --nocapture

life-gallery: ## three years of 10,000 identities, nearly each with moments of its own; some eight minutes
	WATCHLISTD_LIFE=whole cargo test --all-features --lib gallery::rounds -- --nocapture

crash-gallery: setup ## kills, power cuts and failing disks for the gallery, in the thousands
	WATCHLISTD_KILLS=500 WATCHLISTD_CUTS=2000 cargo test --all-features --test gallery_crash -- --nocapture --test-threads=1

crash-events: ## the event log: 1,000 kills, 2,000 power cuts, 10,000 flipped bits, a failing disk at every write, a model; some two hours
	WATCHLISTD_MODEL=1000 cargo test --all-features --lib events::log::tests::model -- --nocapture
	WATCHLISTD_KILLS=1000 WATCHLISTD_CUTS=2000 WATCHLISTD_FLIPS=10000 WATCHLISTD_WRITES=1 \
		cargo test --all-features --test events_crash -- --nocapture --test-threads=1

bulk-gallery: setup ## enrolment of 10,000 pictures, killed twenty times
	WATCHLISTD_BULK=10000 WATCHLISTD_BULK_KILLS=20 cargo test --all-features --test bulk_gallery -- --nocapture kills

sim-budget: ## 1,000 simulated boxes: does the alert budget hold? SCORES=FILE of `watchlistd calibrate FOLDER --matrix FILE` adds real faces
	WATCHLISTD_BOXES=1000 $(if $(SCORES),WATCHLISTD_SCORES=$(abspath $(SCORES))) \
		cargo test --all-features --lib calibrate::simulation -- --nocapture

torch-fixture: ## what PyTorch answers, for the tests of `models import`; needs Debian's python3-torch
	/usr/bin/python3 -B tests/torch/fixture.py

# Debian's, with python3-torch and python3-pil; or that of an environment with PyTorch. One thread: on a machine that is busy, several
# of a small network's wait for each other without end.
TRAINING_PYTHON ?= /usr/bin/python3

training-test: ## the trainer's tests; needs PyTorch and Pillow (training/README.md)
	cd training && OMP_NUM_THREADS=1 $(TRAINING_PYTHON) -B -m unittest -b

training-demo: ## does training help with other people? DATA=FOLDER with a folder of pictures for each person; some twenty minutes
	@test -n "$(DATA)" || { echo "name a folder of people: make training-demo DATA=FOLDER"; exit 64; }
	cd training && $(TRAINING_PYTHON) -B -m facenet_training demonstrate "$(abspath $(DATA))" $(ARGS)

lint: ## formatting, clippy, dependencies' licences and sources
	@scripts/setup $(SETUP_FLAGS) --tools
	cargo fmt --check
	cargo clippy --all-features --all-targets -- -D warnings
	cargo clippy -- -D warnings
	cargo deny --offline --all-features check bans licenses sources

fmt: ## format the code
	cargo fmt

doc: ## API documentation
	cargo doc --no-deps --all-features

man: ## man pages into target/man
	cargo build --release --bin watchlistd
	target/release/watchlistd man target/man

install: setup ## the program, the unit, library, models, man pages, completions; as root
	scripts/install $(INSTALL_FLAGS)

uninstall: ## what install put there; configuration and state stay
	scripts/install --remove $(INSTALL_FLAGS)

clean: ## what cargo built; var/ stays
	cargo clean
