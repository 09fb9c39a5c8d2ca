"""Looks at this machine."""

from ai_energy_benchmarks.utils.gpu import GPUMonitor, GPUStats

__all__ = ["GPUMonitor", "GPUStats"]
