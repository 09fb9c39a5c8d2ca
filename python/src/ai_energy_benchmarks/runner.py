"""Runs benchmarks, by running the program."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Optional, Union

from ai_energy_benchmarks import live
from ai_energy_benchmarks.backends.base import Backend
from ai_energy_benchmarks.backends.pytorch import PyTorchBackend
from ai_energy_benchmarks.backends.vllm import VLLMBackend
from ai_energy_benchmarks.config.parser import (
    BenchmarkConfig,
    ConfigParser,
    Overrides,
    as_file,
    override_arguments,
    plain,
)
from ai_energy_benchmarks.datasets.base import Dataset
from ai_energy_benchmarks.datasets.huggingface import HuggingFaceDataset
from ai_energy_benchmarks.errors import BenchmarkError, BenchmarkInterrupted, ConfigError, Results, error_for
from ai_energy_benchmarks.metrics.base import MetricsCollector
from ai_energy_benchmarks.metrics.codecarbon import CodeCarbonCollector
from ai_energy_benchmarks.program import ask, message
from ai_energy_benchmarks.report import with_nan
from ai_energy_benchmarks.reporters.base import Reporter
from ai_energy_benchmarks.reporters.csv_reporter import CSVReporter

#: Exit codes with which a report is a result: all well, some requests failed, none succeeded.
_RESULT = (0, 4, 5)

#: Exit codes of a run that a signal ended.
_SIGNALLED = (130, 143)


class BenchmarkRunner:
    """One benchmark: :meth:`validate` looks whether it would work, :meth:`run` measures."""

    def __init__(self, config: BenchmarkConfig) -> None:
        """Takes the config as it is; nothing is started.

        Raises:
            ConfigError: the backend's type is none, or a server is meant and no endpoint is given.
        """
        self.config = config
        self.backend: Optional[Backend] = _backend(config)
        self.dataset: Optional[Dataset] = HuggingFaceDataset()
        self.metrics_collector: Optional[MetricsCollector] = None
        if config.metrics.enabled:
            self.metrics_collector = CodeCarbonCollector.from_config(config)
        self.reporter: Optional[Reporter] = None
        if config.reporter.output_file:
            self.reporter = CSVReporter(config.reporter.output_file)

    def validate(self) -> bool:
        """Whether a run would start: the config is right, the dataset loads, the backend answers. Says on standard error
        what is wrong."""
        try:
            ConfigParser.validate_config(self.config)
            with as_file(self.config) as path:
                ask(["validate", "--format", "json", path])
        except BenchmarkError as error:
            print(error, file=sys.stderr)
            return False
        return True

    def run(self) -> Results:
        """Measures, writes the result files, and returns the report. What was not measured is NaN in it.

        Progress goes to `sys.stderr`. Ctrl-C ends the run with what was measured saved.

        Raises:
            BenchmarkError: the run was impossible, or its results could not be written.
            BenchmarkInterrupted: a signal ended the run; it carries the report.
        """
        ConfigParser.validate_config(self.config)
        with as_file(self.config) as path:
            return run_program(["run", "--format", "json", path], decided=True)


def _backend(config: BenchmarkConfig) -> Backend:
    backend = config.backend
    if backend.type == "vllm":
        if not backend.endpoint:
            raise ConfigError("vLLM backend requires endpoint configuration: set backend.endpoint", 2)
        return VLLMBackend(endpoint=str(backend.endpoint), model=str(backend.model))
    if backend.type == "pytorch":
        return PyTorchBackend(
            model=str(backend.model),
            device=str(backend.device),
            device_ids=plain(backend.device_ids),
            torch_dtype=str(backend.torch_dtype),
            device_map=str(backend.device_map),
            max_memory=plain(backend.max_memory),
        )
    raise ConfigError(f"Invalid backend type: {backend.type!r} is neither vllm nor pytorch", 2)


def run_program(arguments: Sequence[str], decided: bool) -> Results:
    """Runs the program with these arguments and returns its report.

    Raises:
        BenchmarkError, BenchmarkInterrupted: as :meth:`BenchmarkRunner.run`.
    """
    ended = live.run(arguments, decided)
    results = _results(ended.out)
    if ended.interrupted or ended.code in _SIGNALLED:
        raise BenchmarkInterrupted(message(ended.err) or "interrupted", results)
    if ended.code in _RESULT and results is not None:
        return results
    raise error_for(ended.code, message(ended.err), results)


def _results(out: str) -> Optional[Results]:
    try:
        report: Any = json.loads(out)
    except ValueError:
        return None
    return with_nan(report) if isinstance(report, dict) else None


def run_benchmark_from_config(
    config_path: Union[str, os.PathLike[str]], overrides: Optional[Overrides] = None
) -> Results:
    """Runs a config file, as `ai-energy-benchmark run FILE` does, environment included.

    Raises:
        FileNotFoundError: there is no such file.
        BenchmarkError, BenchmarkInterrupted: as :meth:`BenchmarkRunner.run`.
    """
    path = os.fspath(config_path)
    if not os.path.exists(path):
        raise FileNotFoundError(f"Config file not found: {path}")
    return run_program(["run", "--format", "json", path, *override_arguments(overrides)], decided=False)
