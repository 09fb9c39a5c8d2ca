"""Where prompts come from."""

from ai_energy_benchmarks.datasets.base import Dataset
from ai_energy_benchmarks.datasets.huggingface import HuggingFaceDataset

__all__ = ["Dataset", "HuggingFaceDataset"]
