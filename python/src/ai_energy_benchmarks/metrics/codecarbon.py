"""Energy and emissions of whatever happens between two lines of a script.

The name is that of the collector which it replaces; the program measures, by its own sources. A benchmark does not use this:
its run measures itself.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import tempfile
from typing import IO, Any, Optional

from ai_energy_benchmarks._version import __version__
from ai_energy_benchmarks.config.parser import BenchmarkConfig, plain
from ai_energy_benchmarks.errors import BenchmarkError, error_for
from ai_energy_benchmarks.metrics.base import MetricsCollector
from ai_energy_benchmarks.program import environment, find, message
from ai_energy_benchmarks.report import with_nan

#: The program reads its sources once before it counts and once more at the end; a driver that hangs takes this long at most, s.
_PATIENCE = 60.0


class CodeCarbonCollector(MetricsCollector):
    """Energy of GPU, CPU and memory between :meth:`start` and :meth:`stop`."""

    def __init__(
        self,
        project_name: str = "ai_energy_benchmarks",
        output_dir: str = "./emissions",
        country_iso_code: Optional[str] = "USA",
        region: Optional[str] = None,
        gpu_ids: Optional[list[int]] = None,
        save_to_file: bool = True,
        log_level: str = "warning",
    ) -> None:
        """`gpu_ids` are the GPUs to measure (default: all). With `save_to_file` each measurement adds a row to `energy.csv` in
        `output_dir`. `log_level` has no meaning any more."""
        self.project_name = project_name
        self.output_dir = output_dir
        self.country_iso_code = country_iso_code
        self.region = region
        self.gpu_ids = gpu_ids
        self.save_to_file = save_to_file
        self.log_level = log_level
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._files: list[IO[bytes]] = []
        self._folder: Optional[tempfile.TemporaryDirectory[str]] = None

    @classmethod
    def from_config(cls, config: BenchmarkConfig) -> CodeCarbonCollector:
        """A collector with a benchmark's settings."""
        metrics = config.metrics
        return cls(
            project_name=metrics.project_name,
            output_dir=metrics.output_dir or "./emissions",
            country_iso_code=metrics.country_iso_code,
            region=metrics.region,
            gpu_ids=_numbers(plain(config.backend.device_ids)),
        )

    def start(self) -> None:
        """Begins to measure.

        Raises:
            RuntimeError: it measures already.
        """
        if self._process is not None:
            raise RuntimeError("the collector measures already: call stop() first")
        self._folder = tempfile.TemporaryDirectory(prefix="ai-energy-")
        path = os.path.join(self._folder.name, "measure.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self._config(), file)
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._files = [out, err]
        # The program measures until its standard input ends: also where this process is killed.
        self._process = subprocess.Popen(
            [find(), "measure", "--format", "json", "--until-stdin-ends", path],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            env=environment(decided=True),
            start_new_session=True,
        )

    def stop(self) -> dict[str, Any]:
        """Ends measuring and returns the report's `energy`: kWh, Wh and g by domain, NaN where nothing could be measured.

        Raises:
            RuntimeError: it does not measure.
            BenchmarkError: the program could not.
        """
        process = self._process
        if process is None:
            raise RuntimeError("the collector does not measure: call start() first")
        try:
            process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        out, err = (_content(file) for file in self._files)
        self._process = None
        if self._folder is not None:
            self._folder.cleanup()
        if process.returncode != 0:
            raise error_for(process.returncode, message(err))
        energy: dict[str, Any] = with_nan(json.loads(out))["energy"]
        if self.save_to_file:
            self._save(energy)
        return energy

    def get_current_metrics(self) -> dict[str, Any]:
        """Whether it measures; figures come with :meth:`stop`."""
        return {"status": "idle" if self._process is None else "tracking"}

    def get_metadata(self) -> dict[str, Any]:
        return {
            "name": "ai-energy-benchmarks",
            "version": __version__,
            "capabilities": ["gpu_energy", "cpu_energy", "ram_energy", "carbon_emissions"],
            "project_name": self.project_name,
            "output_dir": self.output_dir,
        }

    def _config(self) -> dict[str, Any]:
        stated = {
            "project_name": self.project_name,
            "country_iso_code": self.country_iso_code,
            "region": self.region,
            "gpu_ids": self.gpu_ids,
        }
        return {"metrics": {key: value for key, value in stated.items() if value is not None}}

    def _save(self, energy: dict[str, Any]) -> None:
        os.makedirs(self.output_dir, exist_ok=True)
        path = os.path.join(self.output_dir, "energy.csv")
        new = not os.path.exists(path)
        row = {key: ",".join(value) if isinstance(value, list) else value for key, value in energy.items()}
        with open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)


def _numbers(ids: Any) -> Optional[list[int]]:
    """GPU numbers from a list, one number or `"0, 1"`."""
    if ids is None:
        return None
    parts = ids.split(",") if isinstance(ids, str) else ids if isinstance(ids, list) else [ids]
    try:
        return [int(part) for part in parts]
    except (TypeError, ValueError) as error:
        raise BenchmarkError(f"backend.device_ids: {ids!r} is no list of GPU numbers") from error


def _content(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode("utf-8", "replace")
