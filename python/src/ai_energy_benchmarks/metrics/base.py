"""What every collector can be asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any


class MetricsCollector(ABC):
    """Measures between :meth:`start` and :meth:`stop`."""

    @abstractmethod
    def start(self) -> None:
        """Begins to measure."""

    @abstractmethod
    def stop(self) -> dict[str, Any]:
        """Ends measuring and returns what was measured."""

    @abstractmethod
    def get_metadata(self) -> dict[str, Any]:
        """What the collector is."""
