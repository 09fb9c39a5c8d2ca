"""The command `ai-energy-profile`: a load with a name against a server, by the flags of the older package."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Optional

from ai_energy_benchmarks._version import __version__
from ai_energy_benchmarks.errors import ProgramNotFoundError
from ai_energy_benchmarks.program import environment, find


def arguments_for(options: argparse.Namespace) -> list[str]:
    """The program's arguments for these flags."""
    # Keys of the config for what the program has no flag of the same meaning for: `--seed` there is the sampling's alone.
    arguments = ["run", "--profile", options.profile, "--model", options.model, f"name={options.profile}"]
    arguments += ["--endpoint", options.endpoint, "--endpoint-type", options.endpoint_type]
    arguments += ["--output-dir", options.output_dir]
    if options.seed is not None:
        seed = str(options.seed)
        arguments += ["--seed", seed, "--load-seed", seed, f"scenario.synthetic.seed={seed}"]
    if options.prompts_file is not None:
        arguments += ["--prompts-file", options.prompts_file]
    return [*([options.config] if options.config else []), *arguments]


def parser() -> argparse.ArgumentParser:
    """The flags."""
    flags = argparse.ArgumentParser(
        prog="ai-energy-profile",
        description="Run a load with a name against a server: `ai-energy-benchmark run --profile NAME` by the older flags.",
        epilog="`ai-energy-benchmark run --help` has more: rates, goals, warm-up, sweeps.",
    )
    flags.add_argument("--profile", default="moderate", metavar="NAME", help="light, moderate, heavy, stress, … (moderate)")
    flags.add_argument("--endpoint", default="http://localhost:8000/v1", metavar="URL", help="the server")
    flags.add_argument("--model", required=True, metavar="NAME", help="the model's name at the server")
    flags.add_argument("--output-dir", default="./benchmark_output", metavar="DIR", help="where run folders are made")
    flags.add_argument("--config", metavar="FILE", help="a config file beside the flags")
    flags.add_argument("--seed", type=int, metavar="N", help="seed of prompts, sampling and instants")
    flags.add_argument("--prompts-file", metavar="FILE", help="prompts instead of made ones")
    flags.add_argument("--api-key", metavar="KEY", help="the server's key; OPENAI_API_KEY is safer")
    flags.add_argument("--endpoint-type", choices=["chat", "completions"], default="chat", help="the API")
    flags.add_argument("--run-id-suffix", metavar="TEXT", help="appended to the run's name")
    flags.add_argument("--version", action="version", version=f"ai-energy-profile {__version__}")
    return flags


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs the program with the flags' meaning; its exit code is this one's."""
    options = parser().parse_args(argv)
    arguments = arguments_for(options)
    if options.run_id_suffix:
        arguments.append(f"name={options.profile}-{options.run_id_suffix}")
    variables = environment(decided=False)
    if options.api_key:
        # Not as an argument: other users see those.
        variables["OPENAI_API_KEY"] = options.api_key
    try:
        program = find()
    except ProgramNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if sys.platform == "win32":
        return subprocess.run([program, *arguments], env=variables, check=False).returncode
    os.execve(program, [program, *arguments], variables)


if __name__ == "__main__":
    sys.exit(main())
