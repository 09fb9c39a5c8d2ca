"""Result files."""

from ai_energy_benchmarks.reporters.base import Reporter
from ai_energy_benchmarks.reporters.csv_reporter import CSVReporter

__all__ = ["CSVReporter", "Reporter"]
