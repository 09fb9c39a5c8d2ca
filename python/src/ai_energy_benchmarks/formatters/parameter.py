"""Reasoning parameters that are passed on beside the prompt."""

from __future__ import annotations

from typing import Any, Optional

from ai_energy_benchmarks.formatters.base import Params, ReasoningFormatter


class ParameterFormatter(ReasoningFormatter):
    """The prompt stays as it is; parameters are passed on, those for the chat template among them."""

    kind = "parameter"
    api = "chat"

    def __init__(self, template_switches: Optional[list[str]] = None) -> None:
        """`template_switches` are the parameters that the model's chat template reads."""
        self.template_switches = template_switches or []

    def settings(self) -> dict[str, Any]:
        return {"template_switches": self.template_switches}

    def get_generation_params(self, reasoning_params: Optional[Params] = None) -> dict[str, Any]:
        return super().get_generation_params(reasoning_params) if reasoning_params else {}
