"""The CSV file that collects runs. A benchmark's own row is written by the program; this is for results of a script's own."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, Union

from ai_energy_benchmarks.reporters.base import Reporter


class CSVReporter(Reporter):
    """One row a run: nested keys joined with `_`, lists with commas, and the time."""

    def __init__(self, output_file: Union[str, os.PathLike[str]]) -> None:
        """The file; it and its folder are made when the first row is written."""
        self.output_file = os.fspath(output_file)

    def report(self, results: Mapping[str, Any]) -> None:
        """Appends a row.

        Raises:
            ValueError: the file has other columns. It is left as it is.
            OSError: it cannot be written.
        """
        row = dict(_flat("", results))
        row["timestamp"] = datetime.now(timezone.utc).isoformat()
        os.makedirs(self._folder(), exist_ok=True)
        with open(self.output_file, "a+", newline="", encoding="utf-8") as file:
            file.seek(0)
            header = next(csv.reader(file), None)
            if header is not None and header != list(row):
                raise ValueError(f"{self.output_file} has other columns than this result: name another file")
            writer = csv.DictWriter(file, fieldnames=list(row))
            if header is None:
                writer.writeheader()
            writer.writerow(row)

    def validate(self) -> bool:
        """Whether the nearest folder that exists can be written to."""
        folder = self._folder()
        while not os.path.isdir(folder) and os.path.dirname(folder) != folder:
            folder = os.path.dirname(folder)
        return os.path.isdir(folder) and os.access(folder, os.W_OK)

    def _folder(self) -> str:
        return os.path.dirname(os.path.abspath(self.output_file))


def _flat(prefix: str, tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f"{prefix}_{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            yield from _flat(name, value)
        elif isinstance(value, (list, tuple)):
            yield name, ",".join(str(item) for item in value)
        else:
            yield name, value
