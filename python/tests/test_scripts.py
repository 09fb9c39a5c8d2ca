"""Scripts of the older package's users, run as they are: with GPU energy and without."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
import unittest
from pathlib import Path

from support import Case, fake_nvml

import ai_energy_benchmarks

SCRIPTS = Path(__file__).resolve().parent / "scripts"


class Scripts(Case):
    def script(self, name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        package = Path(ai_energy_benchmarks.__file__).parent.parent
        environment = {**os.environ, "PYTHONPATH": str(package), **variables}
        command = [sys.executable, str(SCRIPTS / name), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def score(self, **variables: str) -> tuple[str, dict[str, object]]:
        try:
            import omegaconf  # noqa: F401
        except ImportError:
            self.skipTest("omegaconf is not installed")
        Path("text_generation.yaml").write_text(
            "defaults: [benchmark, {backend: pytorch}, _base_, _self_]\n"
            "backend: {device: cuda, device_ids: '0,1', model: none}\n"
            f"scenario: {{dataset_name: {self.prompts('a', 'b', 'c')}, num_samples: 1000, reasoning: true, "
            "reasoning_params: {reasoning_effort: high}}\n"
        )
        arguments = ("--config-name", "text_generation", "backend.model=simulated", "scenario.num_samples=3")
        address = self.server("--inter-token", "20ms")
        out = self.script("score_run.py", *arguments, VLLM_ENDPOINT=address, RESULTS_DIR="results", **variables).stdout
        return out, json.loads(Path("results/benchmark_report.json").read_text())

    def test_a_single_run_without_gpu_energy_says_nan_and_no_zero(self) -> None:
        out, report = self.score(AI_ENERGY_NVML="/nowhere/libnvidia-ml.so")
        self.assertIn("GPU Energy: nan Wh", out)
        self.assertTrue(math.isnan(report["energy"]["gpu_energy_wh"]))
        self.assertEqual(report["summary"]["successful_prompts"], 3)
        self.assertTrue(Path("results/benchmark_results.csv").is_file())

    @unittest.skipUnless(fake_nvml(), "AI_ENERGY_TEST_NVML names no library")
    def test_a_single_run_with_gpu_energy_has_its_watt_hours(self) -> None:
        out, report = self.score(AI_ENERGY_NVML=str(fake_nvml()))
        energy = report["energy"]["gpu_energy_wh"]
        self.assertGreater(energy, 0)
        self.assertIn(f"GPU Energy: {energy:.2f} Wh", out)
        self.assertEqual(report["gpu_stats"]["gpu_0"]["temperature_c"], 61.0)

    def batch(self, **variables: str) -> list[dict[str, str]]:
        """One table and one server a model, as servers serve one."""
        rows = []
        for model, template, kind in (
            ("openai/gpt-oss-20b", "reasoning_effort: low", "harmony"),
            ("Qwen/Qwen3-8B", "enable_thinking=True", "template"),
            ("nobody/plain", "N/A (default)", "unknown"),
        ):
            Path("models.csv").write_text(f"Models to Add,Class,Chat Template\nhub:{model},A,{template}\n")
            address, out = self.server("--model", model, "--inter-token", "20ms"), f"batch-{kind}"
            self.script("score_batch.py", "models.csv", address, self.prompts("a", "b", "c"), out, **variables)
            with open(f"{out}/master_results.csv", newline="", encoding="utf-8") as file:
                (row,) = csv.DictReader(file)
            self.assertEqual((row["model_name"], row["kind"], row["successful_prompts"]), (model, kind, "3"))
            rows.append(row)
        return rows

    def test_a_batch_without_gpu_energy_goes_through(self) -> None:
        rows = self.batch(AI_ENERGY_NVML="/nowhere/libnvidia-ml.so")
        self.assertEqual({row["gpu_energy_wh"] for row in rows}, {"nan"})
        self.assertEqual({row["tokens_per_joule"] for row in rows}, {"nan"})

    @unittest.skipUnless(fake_nvml(), "AI_ENERGY_TEST_NVML names no library")
    def test_a_batch_with_gpu_energy_has_shares(self) -> None:
        for row in self.batch(AI_ENERGY_NVML=str(fake_nvml())):
            self.assertGreater(float(row["gpu_energy_wh"]), 0)
            self.assertAlmostEqual(
                float(row["wh_per_1000_queries"]), float(row["gpu_energy_wh"]) / 3 * 1000, delta=0.01
            )
            self.assertGreater(float(row["tokens_per_joule"]), 0)


if __name__ == "__main__":
    unittest.main()
