"""A flag in the system message, as SmolLM3, Hunyuan and Nemotron read it."""

from __future__ import annotations

from typing import Any, Optional

from ai_energy_benchmarks.formatters.base import Params, ReasoningFormatter


class SystemPromptFormatter(ReasoningFormatter):
    """A flag switches thinking. Where no parameter says anything, nothing is said: the model does as it does by default."""

    kind = "system_flag"

    def __init__(
        self,
        enable_flag: Optional[str] = "/think",
        disable_flag: Optional[str] = "/no_think",
        default_enabled: bool = False,
    ) -> None:
        """The flags, None where the family has none; `default_enabled` where the model thinks when nothing is said."""
        self.enable_flag = enable_flag
        self.disable_flag = disable_flag
        self.default_enabled = default_enabled

    def settings(self) -> dict[str, Any]:
        return {
            "enable_flag": self.enable_flag,
            "disable_flag": self.disable_flag,
            "default_enabled": self.default_enabled,
        }

    def format_prompt(self, prompt: str, reasoning_params: Optional[Params] = None) -> str:
        return super().format_prompt(prompt, reasoning_params) if reasoning_params else prompt
