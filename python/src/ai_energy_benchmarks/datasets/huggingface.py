"""Datasets of the Hugging Face hub and local files, loaded by the program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ai_energy_benchmarks.datasets.base import Dataset
from ai_energy_benchmarks.errors import BenchmarkError
from ai_energy_benchmarks.program import ask, find

#: All rows: more than any dataset of prompts has.
_ALL = 10_000_000


class HuggingFaceDataset(Dataset):
    """A dataset of the hub, or a local csv, jsonl, json, parquet or txt file."""

    def load(self, config: Mapping[str, Any]) -> list[str]:
        """The texts of the column.

        `config` has `name` (or `dataset_name`), and may have `text_column` (or `text_column_name`, default `text`), `split`
        (default: the program's choice) and `num_samples` (default: all).

        Raises:
            ConfigError: no name, or the dataset or its column is not there.
        """
        name = config.get("name") or config.get("dataset_name")
        if not name:
            raise ValueError("the dataset has no name: give config['name']")
        column = config.get("text_column") or config.get("text_column_name") or "text"
        arguments = [
            f"scenario.dataset_name={name}",
            f"scenario.text_column_name={column}",
            f"scenario.num_samples={int(config.get('num_samples') or _ALL)}",
        ]
        if config.get("split"):
            arguments.append(f"scenario.split={config['split']}")
        answer = ask(["prompts", "--format", "json", "--model", "none", *arguments])
        return [prompt["messages"][-1]["content"] for prompt in answer["prompts"]]

    def validate(self) -> bool:
        """Whether the program that loads datasets is installed."""
        try:
            find()
        except BenchmarkError:
            return False
        return True
