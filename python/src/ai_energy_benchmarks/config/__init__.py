"""Configs: the dataclasses and their parser."""

from ai_energy_benchmarks.config.parser import (
    BackendConfig,
    BenchmarkConfig,
    ConfigParser,
    MetricsConfig,
    ReporterConfig,
    ScenarioConfig,
)

__all__ = [
    "BackendConfig",
    "BenchmarkConfig",
    "ConfigParser",
    "MetricsConfig",
    "ReporterConfig",
    "ScenarioConfig",
]
