"""Energy."""

from ai_energy_benchmarks.metrics.base import MetricsCollector
from ai_energy_benchmarks.metrics.codecarbon import CodeCarbonCollector

__all__ = ["CodeCarbonCollector", "MetricsCollector"]
