"""What every formatter does: it gives its settings to the program and returns what the program makes of a prompt."""

from __future__ import annotations

import json
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Optional

from ai_energy_benchmarks.program import ask

#: A longer prompt goes through a file: systems limit the length of an argument.
_LONGEST_ARGUMENT = 32_768

Params = Mapping[str, Any]


class ReasoningFormatter(ABC):
    """A reasoning format."""

    #: The program's word for this kind of format, and the API whose form of it is returned.
    kind: str
    api = "completions"

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The format's settings as in a file of reasoning formats. None stands for what is not set."""

    def format_prompt(self, prompt: str, reasoning_params: Optional[Params] = None) -> str:
        """The prompt as one text, written as the model wants it.

        Raises:
            ConfigError: a reasoning parameter has a value that cannot be meant.
        """
        return _text(self._ask(prompt, reasoning_params))

    def get_generation_params(self, reasoning_params: Optional[Params] = None) -> dict[str, Any]:
        """The parameters that go beside the prompt."""
        written = self._ask("", reasoning_params)
        return {**written["params"], **written["chat_template_kwargs"]}

    def _ask(self, prompt: str, reasoning_params: Optional[Params]) -> dict[str, Any]:
        entry = {name: value for name, value in self.settings().items() if value is not None}
        table = {"models": {"formatter": {"type": self.kind, **entry}}}
        params = {str(name): value for name, value in (reasoning_params or {}).items()}
        with tempfile.TemporaryDirectory(prefix="ai-energy-") as folder:
            formats = os.path.join(folder, "formats.json")
            _write(formats, table)
            scenario: dict[str, Any] = {"formats_file": formats, "reasoning": True, "reasoning_params": params}
            source = [f"--text={prompt}"]
            if len(prompt.encode()) > _LONGEST_ARGUMENT:
                scenario["dataset_name"] = os.path.join(folder, "prompt.jsonl")
                _write(scenario["dataset_name"], {"text": prompt})
                source = []
            config = os.path.join(folder, "formatter.json")
            _write(config, {"backend": {"model": "formatter", "server": {"api": self.api}}, "scenario": scenario})
            answer = ask(["prompts", "--format", "json", *source, config])
        written: dict[str, Any] = answer["prompts"][0]
        return written


def _write(path: str, content: Any) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file)


def _text(written: dict[str, Any]) -> str:
    if written["text"] is not None:
        return str(written["text"])
    return "\n\n".join(message["content"] for message in written["messages"])
