"""What every reporter can be asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class Reporter(ABC):
    """Writes results."""

    @abstractmethod
    def report(self, results: Mapping[str, Any]) -> None:
        """Writes one run's results."""

    @abstractmethod
    def validate(self) -> bool:
        """Whether it could."""
