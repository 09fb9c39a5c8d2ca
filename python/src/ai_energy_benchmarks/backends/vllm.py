"""A model behind an OpenAI-compatible server."""

from __future__ import annotations

import warnings
from typing import Any, Optional

from ai_energy_benchmarks.backends.base import Backend


class VLLMBackend(Backend):
    """A server with the OpenAI API: vLLM, or any other."""

    def __init__(self, endpoint: str, model: str, timeout: float = 300, use_harmony: Optional[bool] = None) -> None:
        """`timeout` is for one whole request, in seconds. `use_harmony` has no meaning any more: the server applies the
        Harmony layout itself."""
        if use_harmony is not None:
            warnings.warn("use_harmony is ignored: the server applies its model's format", DeprecationWarning, stacklevel=2)
        self.endpoint = endpoint
        self.model = model
        self.timeout = timeout

    def settings(self) -> dict[str, Any]:
        return {
            "type": "vllm",
            "endpoint": self.endpoint,
            "model": self.model,
            "server": {"total_timeout_seconds": float(self.timeout)},
        }
