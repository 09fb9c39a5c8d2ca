"""A model in a PyTorch process that the program starts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Optional

from ai_energy_benchmarks.backends.base import Backend


class PyTorchBackend(Backend):
    """A model by PyTorch. Nothing is loaded in this process: `tokenizer` is always None, and memory is free when a call ends."""

    def __init__(
        self,
        model: str,
        device: str = "cuda",
        device_ids: Any = None,
        torch_dtype: str = "auto",
        device_map: str = "auto",
        max_memory: Optional[Mapping[Any, Any]] = None,
        use_harmony: Optional[bool] = None,
    ) -> None:
        """`use_harmony` has no meaning any more: the model's own chat template is applied."""
        if use_harmony is not None:
            warnings.warn("use_harmony is ignored: the model's template is applied", DeprecationWarning, stacklevel=2)
        self.model = model
        self.model_name = model
        self.tokenizer: Any = None
        self.device = device
        self.device_ids = [0] if device_ids is None else device_ids
        self.torch_dtype = torch_dtype
        self.device_map = device_map
        self.max_memory = max_memory

    def settings(self) -> dict[str, Any]:
        section = {
            "type": "pytorch",
            "model": self.model_name,
            "device": self.device,
            "device_ids": self.device_ids,
            "torch_dtype": self.torch_dtype,
            "device_map": self.device_map,
        }
        if self.max_memory is not None:
            section["max_memory"] = {str(key): value for key, value in self.max_memory.items()}
        return section

    def cleanup(self) -> None:
        """Nothing to do: the process that held the model has ended. Kept for scripts that call it."""
