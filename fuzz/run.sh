#!/usr/bin/env bash
# Fuzzes each decoder of foreign bytes for SECONDS seconds (default 60) and prints how often it ran:
#   fuzz/run.sh [SECONDS] [TARGET…]
# A failure ends the script; the input that shows it is left in target/fuzz/artifacts. TARGETS=storage builds and runs those
# of the storage engine only. The stable compiler is enough: libFuzzer needs coverage counters, not the address sanitizer.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
shift || true
storage=(wal_segment wal_payload head_chunk block_meta block_index block_values block_times block_page block_starts)
server=(exposition exposition_protobuf remote_write remote_write_2 promql yaml config template)
features=()
if [ $# -gt 0 ]; then targets=("$@")
elif [ "${TARGETS:-}" = storage ]; then targets=("${storage[@]}"); features=(--no-default-features)
else targets=("${server[@]}" "${storage[@]}"); fi

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../target/fuzz}
out=$CARGO_TARGET_DIR
host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz passes with `--sanitizer none`.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares"
bins=()
for target in "${targets[@]}"; do bins+=(--bin "$target"); done
# With --target, build scripts and macros stay as they are.
cargo build --release --quiet --target "$host" "${features[@]}" "${bins[@]}"

python3 seeds.py "$out/corpus"
mkdir -p "$out/artifacts"
export TMPDIR=/dev/shm
[ -w "$TMPDIR" ] || unset TMPDIR
printf '%-14s %12s %8s %8s %8s\n' target executions seconds coverage inputs
for target in "${targets[@]}"; do
  log=$out/$target.log
  mkdir -p "$out/corpus/$target"
  if ! "$out/$host/release/$target" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
      -artifact_prefix="$out/artifacts/$target-" "$out/corpus/$target" >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    echo "fuzz: $target failed; $log has all of it" >&2
    exit 1
  fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  coverage=$(sed -n 's/.*DONE *cov: \([0-9]*\).*/\1/p' "$log")
  printf '%-14s %12s %8s %8s %8s\n' "$target" "$runs" "$seconds" "$coverage" "$(find "$out/corpus/$target" -type f | wc -l)"
done
