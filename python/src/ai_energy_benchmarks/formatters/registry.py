"""Which format a model gets, asked of the program."""

from __future__ import annotations

import os
from typing import Any, Optional, Union

from ai_energy_benchmarks.formatters.base import ReasoningFormatter
from ai_energy_benchmarks.formatters.harmony import HarmonyFormatter
from ai_energy_benchmarks.formatters.parameter import ParameterFormatter
from ai_energy_benchmarks.formatters.prefix import PrefixFormatter
from ai_energy_benchmarks.formatters.system_prompt import SystemPromptFormatter
from ai_energy_benchmarks.program import ask


class FormatterRegistry:
    """The formats by model name: the program's table, and in front of it a file of one's own."""

    def __init__(self, config_path: Optional[Union[str, os.PathLike[str]]] = None) -> None:
        """`config_path` is a YAML file of reasoning formats (`families`, `models`, `default`)."""
        self._file = None if config_path is None else os.fspath(config_path)
        self._found: dict[str, dict[str, Any]] = {}
        self._formatters: dict[str, Optional[ReasoningFormatter]] = {}

    def get_formatter(self, model: str) -> Optional[ReasoningFormatter]:
        """The format of a model; None where there is none, or where the chat template does it."""
        name = model.lower()
        if name not in self._formatters:
            found = self._look(name)
            self._formatters[name] = _formatter(found["type"], found["settings"])
        return self._formatters[name]

    def _find_model_config(self, model: str) -> Optional[dict[str, Any]]:
        """The settings of a model's family with their `type`; None where no family knows the model. Scripts call this to tell
        an unknown model from one whose chat template does everything, whose `type` is None."""
        found = self._look(model.lower())
        if not found["known"]:
            return None
        written = _formatter(found["type"], found["settings"]) is not None
        return {**found["settings"], "type": found["type"] if written else None, "family": found["family"]}

    def _look(self, name: str) -> dict[str, Any]:
        if name not in self._found:
            file = [] if self._file is None else [f"scenario.formats_file={self._file}"]
            self._found[name] = ask(["prompts", "--format", "json", "--text=x", f"--model={name}", *file])["format"]
        return self._found[name]


def _formatter(kind: str, settings: dict[str, Any]) -> Optional[ReasoningFormatter]:
    if kind == "harmony":
        return HarmonyFormatter()
    if kind == "system_flag":
        return SystemPromptFormatter(settings["enable_flag"], settings["disable_flag"], settings["default_enabled"])
    if kind == "prefix":
        return PrefixFormatter(settings["prefix"], settings["suffix"])
    if kind == "parameter":
        return ParameterFormatter(settings["template_switches"])
    return None
