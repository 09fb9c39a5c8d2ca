"""The program `ai-energy-benchmark`: where it is, and short questions to it. Long runs are in `live`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ai_energy_benchmarks.errors import ProgramNotFoundError, error_for

PROGRAM = "ai-energy-benchmark"

#: Names another program than the one that came with this package.
VARIABLE = "AI_ENERGY_BENCHMARK"

#: Settings in the environment that containers use. A config that was built in Python has been decided by its author.
DECIDED = ("BENCHMARK_BACKEND", "BENCHMARK_MODEL", "VLLM_ENDPOINT", "NUM_SAMPLES", "CONFIG_FILE", "RESULTS_DIR")

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def find() -> str:
    """The program's path: the one that `AI_ENERGY_BENCHMARK` names, else this package's own, else one on the `PATH`.

    Raises:
        ProgramNotFoundError: there is none, or the one that was named cannot be run.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if _runnable(named):
            return named
        raise ProgramNotFoundError(f"{VARIABLE} names {named}, which is no program that can be run")
    for folder in _script_folders():
        path = os.path.join(folder, PROGRAM + (".exe" if sys.platform == "win32" else ""))
        if _runnable(path):
            return path
    on_path = shutil.which(PROGRAM)
    if on_path:
        return on_path
    raise ProgramNotFoundError(
        f"the program {PROGRAM} is not installed: it is neither with this package nor on the PATH; "
        f"install the package's wheel, or name the program with {VARIABLE}"
    )


def _script_folders() -> Iterator[str]:
    """Where pip puts programs: this environment's scripts, the user's, and those beside a `--target` folder."""
    yield sysconfig.get_path("scripts")
    user = sysconfig.get_preferred_scheme("user")
    yield sysconfig.get_path("scripts", scheme=user)
    yield str(Path(__file__).parent.parent / "bin")


def _runnable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def environment(decided: bool) -> dict[str, str]:
    """This process's environment for the program. `decided` leaves out what would override an explicit config."""
    left_out = DECIDED if decided else ()
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    # The engine over transformers is to run in the Python that asks.
    kept.setdefault("AI_ENERGY_PYTHON", sys.executable or "python3")
    return kept


def ask(arguments: Sequence[str], decided: bool = True) -> Any:
    """Asks a question that is answered at once, and returns the JSON answer.

    Raises:
        BenchmarkError: the program refuses; the text is its message.
    """
    done = subprocess.run(
        [find(), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=environment(decided),
        check=False,
    )
    if done.returncode != 0:
        raise error_for(done.returncode, message(done.stderr))
    return json.loads(done.stdout)


def message(words: str) -> str:
    """What the program said went wrong: its words from the first error on, without colours."""
    plain = _ANSI.sub("", words).replace("\r", "\n")
    lines = [line.rstrip() for line in plain.splitlines() if line.strip()]
    first = next((at for at, line in enumerate(lines) if line.startswith("error")), 0)
    return "\n".join(lines[first:])


def version() -> str:
    """The program's own version."""
    done = subprocess.run([find(), "--version"], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


