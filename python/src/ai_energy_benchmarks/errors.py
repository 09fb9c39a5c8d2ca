"""What can go wrong, in the program's own words."""

from __future__ import annotations

from typing import Any, Optional

Results = dict[str, Any]


class BenchmarkError(RuntimeError):
    """The program ended without what was asked. The text is what it said: object, cause, remedy.

    `exit_code` is the program's; `results` the report where it gave one all the same.
    """

    def __init__(self, message: str, exit_code: Optional[int] = None, results: Optional[Results] = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.results = results


class ConfigError(BenchmarkError, ValueError):
    """The config, an argument or an input file is wrong (exit code 2)."""


class BackendError(BenchmarkError):
    """The backend cannot be reached or cannot do what is asked (exit code 3)."""


class ProgramNotFoundError(BenchmarkError):
    """There is no program `ai-energy-benchmark`."""


class BenchmarkInterrupted(KeyboardInterrupt):
    """The run was interrupted. What was measured is saved; `results` is its report, where there was something."""

    def __init__(self, message: str, results: Optional[Results] = None) -> None:
        super().__init__(message)
        self.results = results


def error_for(exit_code: int, message: str, results: Optional[Results] = None) -> BenchmarkError:
    """The exception for an exit code."""
    kinds: dict[int, type[BenchmarkError]] = {2: ConfigError, 3: BackendError}
    text = message or f"ai-energy-benchmark ended with exit code {exit_code} and said nothing"
    return kinds.get(exit_code, BenchmarkError)(text, exit_code, results)
