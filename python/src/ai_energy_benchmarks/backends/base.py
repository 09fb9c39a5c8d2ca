"""What every backend can be asked; the program does the work."""

from __future__ import annotations

import json
import math
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Optional

from ai_energy_benchmarks import live
from ai_energy_benchmarks.errors import BenchmarkError
from ai_energy_benchmarks.program import ask, message


class Backend(ABC):
    """Something that runs a model."""

    #: The model's name. Scripts may delete it: nothing is held by it.
    model: Optional[str]

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The config's `backend` section."""

    def validate_environment(self) -> bool:
        """Whether the backend can be reached, serves the model and generates."""
        try:
            with _config(self.settings(), {"dataset_name": "builtin", "num_samples": 1}) as path:
                ask(["validate", "--format", "json", path])
        except BenchmarkError:
            return False
        return True

    def health_check(self) -> bool:
        """The same as :meth:`validate_environment`: a backend is healthy where it generates."""
        return self.validate_environment()

    def get_endpoint_info(self) -> dict[str, Any]:
        """What the backend is. Nothing is asked: use :meth:`validate_environment` for that."""
        settings = self.settings()
        return {"backend": settings.pop("type"), **settings}

    def run_inference(
        self,
        prompt: str,
        max_tokens: int = 100,
        temperature: float = 0.7,
        reasoning_params: Optional[Mapping[str, Any]] = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """One generation, without energy.

        Returns:
            `text`, `prompt_tokens`, `completion_tokens`, `total_tokens`, `latency_seconds`, `time_to_first_token`, `model`,
            `success` and `error`. A failure is `success: False` with the message, no exception. What is not known is NaN.
        """
        generation = {"max_new_tokens": max_tokens, "temperature": temperature, **kwargs}
        generation.setdefault("min_new_tokens", 0)
        scenario: dict[str, Any] = {
            "num_samples": 1,
            "keep_text": True,
            "generate_kwargs": generation,
            "reasoning": reasoning_params is not None,
        }
        if reasoning_params is not None:
            scenario["reasoning_params"] = dict(reasoning_params)
        with tempfile.TemporaryDirectory(prefix="ai-energy-") as folder:
            dataset = os.path.join(folder, "prompt.jsonl")
            with open(dataset, "w", encoding="utf-8") as file:
                json.dump({"text": prompt}, file)
            scenario["dataset_name"] = dataset
            with _config(self.settings(), scenario, os.path.join(folder, "out")) as path:
                ended = live.run(["run", "--quiet", "--format", "json", path], decided=True)
            record = _only_request(os.path.join(folder, "out"))
        return _result(record, str(self.model), message(ended.err))


class _config:  # noqa: N801 (used as a function)
    """A config file for one question, while the block lasts."""

    def __init__(self, backend: dict[str, Any], scenario: dict[str, Any], output_dir: Optional[str] = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ai-energy-")
        tree: dict[str, Any] = {
            "backend": backend,
            "scenario": scenario,
            "metrics": {"enabled": False, "type": "native"},
            "output_dir": output_dir or os.path.join(self._folder.name, "out"),
        }
        self._path = os.path.join(self._folder.name, "backend.json")
        with open(self._path, "w", encoding="utf-8") as file:
            json.dump(tree, file)

    def __enter__(self) -> str:
        return self._path

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def _only_request(output_dir: str) -> dict[str, Any]:
    """The record of the one request; empty where the run did not come to it."""
    for folder, _, files in os.walk(output_dir):
        if "requests.jsonl" in files:
            with open(os.path.join(folder, "requests.jsonl"), encoding="utf-8") as file:
                for line in file:
                    record: dict[str, Any] = json.loads(line)
                    return record
    return {}


def _result(record: dict[str, Any], model: str, said: str) -> dict[str, Any]:
    failure = record.get("error")
    error = failure["message"] if failure else (None if record else said or "the program gave no answer")
    prompt_tokens, completion_tokens = _tokens(record, "prompt_tokens"), _tokens(record, "completion_tokens")
    return {
        "text": record.get("text") or "",
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "latency_seconds": _seconds(record, "end_ns"),
        "time_to_first_token": _seconds(record, "first_token_ns"),
        "model": model,
        "success": error is None,
        "error": error,
    }


def _tokens(record: dict[str, Any], key: str) -> Any:
    count = record.get(key)
    return count["tokens"] if count else math.nan


def _seconds(record: dict[str, Any], key: str) -> float:
    start, end = record.get("sent_ns"), record.get(key)
    return math.nan if start is None or end is None else (end - start) * 1e-9
