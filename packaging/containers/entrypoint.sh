#!/bin/sh
# The container's entry: decides what a container has to decide, and becomes the program.
#
#   BENCHMARK_BACKEND  pytorch or vllm; each image sets its own default
#   VLLM_ENDPOINT      the server, where the backend is vllm
#   RESULTS_DIR        where results go (/results)
#
# Every other variable is the program's own to read. The first argument may be any command of the program; without one a
# benchmark is run, so that `docker run IMAGE --config-name text_generation backend.model=MODEL` does what it always did.
set -eu

fail() {
    printf 'error: %s\n  hint: %s\n' "$1" "$2" >&2
    exit 2
}

program="${AI_ENERGY_BENCHMARK:-ai-energy-benchmark}"
backend="${BENCHMARK_BACKEND:-pytorch}"
results="${RESULTS_DIR:-/results}"

case "$backend" in
    pytorch | vllm) ;;
    optimum)
        fail "BENCHMARK_BACKEND=optimum: this program has no optimum backend" \
            "use BENCHMARK_BACKEND=pytorch, which runs the model here, or vllm, which asks a server" ;;
    *)
        fail "BENCHMARK_BACKEND=$backend: there is no such backend" "use pytorch or vllm" ;;
esac

case "${1:-}" in
    help | --help | -h | --version | -V | list | config | completions | man | doctor | simulate | summarize | prompts | measure)
        # Nothing is benchmarked: neither a server nor a folder for results is needed.
        exec "$program" "$@" ;;
esac

# A server must be named somewhere: the program's own default is this container, in which none runs.
if [ "$backend" = vllm ] && [ -z "${VLLM_ENDPOINT:-}" ]; then
    named=no
    for argument in "$@"; do
        case "$argument" in
            --endpoint | --endpoint=* | backend.endpoint=* | +backend.endpoint=* | ++backend.endpoint=*) named=yes ;;
            *.yaml | *.yml | *.toml | *.json) named=yes ;;
        esac
    done
    [ "$named" = yes ] || [ -n "${CONFIG_FILE:-}" ] ||
        fail "VLLM_ENDPOINT is not set, and BENCHMARK_BACKEND is vllm" \
            "--env VLLM_ENDPOINT=http://host.docker.internal:8000/v1, or --endpoint URL"
fi

if ! mkdir -p "$results" 2>/dev/null || [ ! -w "$results" ]; then
    fail "$results cannot be written to by user $(id -u)" \
        "make it on the host first and run the container as its owner: --user \"\$(id -u):\$(id -g)\" --volume \"\$PWD/results:$results\""
fi

export BENCHMARK_BACKEND="$backend" RESULTS_DIR="$results"
exec "$program" "$@"
