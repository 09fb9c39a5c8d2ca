"""The Harmony layout of gpt-oss."""

from __future__ import annotations

from typing import Any

from ai_energy_benchmarks.formatters.base import ReasoningFormatter


class HarmonyFormatter(ReasoningFormatter):
    """Special tokens around the messages, with the reasoning effort (low, medium, high; default high) in the system message."""

    kind = "harmony"

    def settings(self) -> dict[str, Any]:
        return {}
