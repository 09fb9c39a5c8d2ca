"""Text before the prompt, for example an opening think tag."""

from __future__ import annotations

from typing import Any

from ai_energy_benchmarks.formatters.base import ReasoningFormatter


class PrefixFormatter(ReasoningFormatter):
    """Text around the prompt, unless `enable_thinking` is false."""

    kind = "prefix"

    def __init__(self, prefix: str, suffix: str = "") -> None:
        """The texts before and after."""
        self.prefix = prefix
        self.suffix = suffix

    def settings(self) -> dict[str, Any]:
        return {"prefix": self.prefix, "suffix": self.suffix}
