"""The report as scripts of the older package read it."""

from __future__ import annotations

import math
from typing import Any

#: The sections whose figures old scripts format and add.
_FIGURES = ("summary", "energy", "gpu_stats")

#: Keys in them that hold words, or structures of their own.
_WORDS = frozenset({"country", "region", "project_name", "error", "validity", "total_covers", "name"})


def with_nan(report: dict[str, Any]) -> dict[str, Any]:
    """The report with NaN where `summary`, `energy` and `gpu_stats` have null: a script that formats or adds such a figure
    neither crashes nor prints a 0. Other sections stay as they are; `report["unknown"]` says why, key by key."""
    return {key: _figures(value) if key in _FIGURES else value for key, value in report.items()}


def _figures(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    return {
        key: math.nan if value is None and key not in _WORDS else _figures(value) for key, value in tree.items()
    }
