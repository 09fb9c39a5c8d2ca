"""What every dataset can be asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class Dataset(ABC):
    """A source of prompts."""

    @abstractmethod
    def load(self, config: Mapping[str, Any]) -> list[str]:
        """The prompts that a config asks for."""

    @abstractmethod
    def validate(self) -> bool:
        """Whether datasets can be loaded here."""
