"""What the tests share: the program under test, a simulator, folders.

`AI_ENERGY_BENCHMARK` names the program, and `AI_ENERGY_TEST_NVML` a scripted NVML library where there is one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

if not os.environ.get("AI_ENERGY_TEST_INSTALLED"):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from ai_energy_benchmarks import program  # noqa: E402

#: Without these a test depends on who runs it.
FOREIGN = (*program.DECIDED, "OPENAI_API_KEY", "HF_TOKEN", "CUDA_VISIBLE_DEVICES", "AI_ENERGY_NVML")


class Case(unittest.TestCase):
    """A test in a folder of its own, with nothing of the caller's environment that would change a run."""

    def setUp(self) -> None:
        self._left = contextlib.ExitStack()
        self.addCleanup(self._left.close)
        self.folder = Path(self._left.enter_context(tempfile.TemporaryDirectory()))
        before, old = dict(os.environ), os.getcwd()
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(before)))
        self.addCleanup(os.chdir, old)
        for name in FOREIGN:
            os.environ.pop(name, None)
        os.environ.update(HF_HOME=str(self.folder / "hf"), HF_HUB_OFFLINE="1")
        os.chdir(self.folder)

    def server(self, *arguments: str) -> str:
        """Starts a simulator for this test and returns its address."""
        return self._left.enter_context(simulator(*arguments))

    def prompts(self, *texts: str) -> str:
        """A dataset with these prompts."""
        path = self.folder / "prompts.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        return str(path)

    def reports(self, folder: Any = "benchmark_output") -> list[dict[str, Any]]:
        """Every report below a folder."""
        found = sorted((self.folder / folder).glob("*/benchmark_report.json"))
        return [json.loads(path.read_text(encoding="utf-8")) for path in found]


@contextlib.contextmanager
def simulator(*arguments: str) -> Iterator[str]:
    """An OpenAI-compatible server of known timing."""
    command = [program.find(), "simulate", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                found = re.search(r"http://127\.0\.0\.1:\d+/v1", line)
                if found:
                    break
            else:
                raise AssertionError("the simulator does not say its address")
            yield found.group()
        finally:
            process.kill()


def fake_nvml() -> Optional[str]:
    """The scripted NVML library, where the caller has one."""
    return os.environ.get("AI_ENERGY_TEST_NVML")
