"""What runs models."""

from ai_energy_benchmarks.backends.base import Backend
from ai_energy_benchmarks.backends.pytorch import PyTorchBackend
from ai_energy_benchmarks.backends.vllm import VLLMBackend

__all__ = ["Backend", "PyTorchBackend", "VLLMBackend"]
