"""What a token of AI costs: joules, watt-hours, grams of CO2 and milliseconds.

Thin over the program `ai-energy-benchmark`: configs go to it, its JSON report comes back. No figure is computed here.
"""

from ai_energy_benchmarks._version import __version__
from ai_energy_benchmarks.config.parser import BenchmarkConfig, ConfigParser
from ai_energy_benchmarks.errors import BenchmarkError, BenchmarkInterrupted, ConfigError
from ai_energy_benchmarks.runner import BenchmarkRunner, run_benchmark_from_config

__all__ = [
    "BenchmarkConfig",
    "BenchmarkError",
    "BenchmarkInterrupted",
    "BenchmarkRunner",
    "ConfigError",
    "ConfigParser",
    "__version__",
    "run_benchmark_from_config",
]
