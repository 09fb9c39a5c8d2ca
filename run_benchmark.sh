#!/usr/bin/env bash
# run_benchmark.sh [CONFIG] [more arguments of `ai-energy-benchmark run`…]
# Runs a benchmark as the Python package's script of this name did; without a config, gpt_oss_120b.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -gt 0 ] || set -- "$here/configs/gpt_oss_120b.yaml"
for program in "$(command -v ai-energy-benchmark || true)" "$here/target/release/ai-energy-benchmark"; do
    [ -x "$program" ] && exec "$program" run "$@"
done
exec cargo run --release --quiet --manifest-path "$here/Cargo.toml" -- run "$@"
