"""Runs through the Python surface against the simulator: results, files, errors, interrupts."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

from support import Case, fake_nvml

from ai_energy_benchmarks import BenchmarkConfig, BenchmarkError, BenchmarkRunner, ConfigError, ConfigParser
from ai_energy_benchmarks.backends.pytorch import PyTorchBackend
from ai_energy_benchmarks.backends.vllm import VLLMBackend
from ai_energy_benchmarks.config.parser import BackendConfig, MetricsConfig, ReporterConfig, ScenarioConfig
from ai_energy_benchmarks.datasets.huggingface import HuggingFaceDataset
from ai_energy_benchmarks.errors import BackendError, ProgramNotFoundError
from ai_energy_benchmarks.metrics.codecarbon import CodeCarbonCollector
from ai_energy_benchmarks.reporters.csv_reporter import CSVReporter
from ai_energy_benchmarks.runner import run_benchmark_from_config
from ai_energy_benchmarks.utils.gpu import GPUMonitor


def config_for(address: str, dataset: str, samples: int = 2) -> BenchmarkConfig:
    return BenchmarkConfig(
        name="from python",
        backend=BackendConfig(type="vllm", model="simulated", endpoint=address),
        scenario=ScenarioConfig(
            dataset_name=dataset,
            num_samples=samples,
            generate_kwargs={"max_new_tokens": 7, "min_new_tokens": 7},
        ),
        metrics=MetricsConfig(country_iso_code="DEU"),
        reporter=ReporterConfig(output_file="collected/all.csv"),
    )


class Runs(Case):
    def test_a_run_returns_the_report_that_it_writes(self) -> None:
        runner = BenchmarkRunner(config_for(self.server(), self.prompts("one", "two", "three")))
        self.assertTrue(runner.validate())
        results = runner.run()
        self.assertEqual(results["summary"]["total_completion_tokens"], 14)
        self.assertEqual(results["config"]["name"], "from python")
        self.assertEqual(results["energy"]["country"], "DEU")
        (written,) = self.reports()
        self.assertEqual(written["run_id"], results["run_id"])
        self.assertEqual(written["summary"], results["summary"])
        rows = (self.folder / "collected/all.csv").read_text().splitlines()
        self.assertEqual(len(rows), 2)
        self.assertTrue((self.folder / "emissions/emissions.csv").exists())

    def test_what_was_not_measured_is_nan_and_formats_and_adds(self) -> None:
        config = config_for(self.server(), self.prompts("one", "two"))
        config.metrics.extra["sources"] = []
        energy = BenchmarkRunner(config).run()["energy"]
        self.assertTrue(math.isnan(energy["gpu_energy_wh"]))
        self.assertEqual(f"{energy.get('gpu_energy_wh', 0):.2f} Wh", "nan Wh")
        self.assertTrue(math.isnan(energy["gpu_energy_wh"] + 1.0))
        self.assertIsNone(energy["region"], "a word that was not given is None")
        self.assertIn("NaN", json.dumps(energy))

    def test_the_environment_overrides_no_explicit_config(self) -> None:
        os.environ.update(NUM_SAMPLES="1", BENCHMARK_MODEL="other", VLLM_ENDPOINT="http://127.0.0.1:1/v1")
        os.environ.update(RESULTS_DIR=str(self.folder / "elsewhere"), BENCHMARK_BACKEND="pytorch")
        results = BenchmarkRunner(config_for(self.server(), self.prompts("one", "two"))).run()
        self.assertEqual(results["summary"]["total_prompts"], 2)
        self.assertEqual(len(self.reports()), 1)

    def test_a_config_file_runs_with_overrides_of_each_form_and_its_environment(self) -> None:
        address = self.server()
        text = f"backend: {{model: simulated, endpoint: '{address}'}}\nscenario: {{dataset_name: '{self.prompts('a', 'b')}'}}\n"
        Path("bench.yaml").write_text(text)
        nested = {"scenario": {"num_samples": 1, "generate_kwargs": {"max_new_tokens": 3, "min_new_tokens": 0}}}
        results = run_benchmark_from_config("bench.yaml", nested)
        self.assertEqual(results["summary"]["total_completion_tokens"], 3)
        dotted = {"scenario.num_samples": 2, "scenario.generate_kwargs.max_new_tokens": 3}
        results = run_benchmark_from_config("bench.yaml", {**dotted, "scenario.generate_kwargs.min_new_tokens": 0})
        self.assertEqual(results["summary"]["total_prompts"], 2)
        os.environ["NUM_SAMPLES"] = "1"
        results = run_benchmark_from_config("bench.yaml", ["name=texts"])
        self.assertEqual((results["config"]["name"], results["summary"]["total_prompts"]), ("texts", 1))
        self.assertRaises(FileNotFoundError, run_benchmark_from_config, "nowhere.yaml")

    def test_failed_requests_are_results_and_not_an_exception(self) -> None:
        address = self.server("--fault", "500")
        summary = BenchmarkRunner(config_for(address, self.prompts("a", "b"))).run
        # Validation sends one request, which fails.
        with self.assertRaises(BackendError) as caught:
            summary()
        self.assertIn("500", str(caught.exception))
        address = self.server("--fault", "500@3")
        results = BenchmarkRunner(config_for(address, self.prompts("a", "b", "c", "d"), 4)).run()
        self.assertGreater(results["summary"]["failed_prompts"], 0)
        self.assertGreater(results["summary"]["successful_prompts"], 0)


class Errors(Case):
    def test_errors_are_exceptions_with_the_programs_words(self) -> None:
        config = config_for("http://127.0.0.1:1/v1", self.prompts("a"))
        with self.assertRaises(BackendError) as caught:
            BenchmarkRunner(config).run()
        self.assertIn("127.0.0.1:1", str(caught.exception))
        self.assertIn("hint", str(caught.exception))
        self.assertEqual(caught.exception.exit_code, 3)
        self.assertIsInstance(caught.exception, RuntimeError)
        self.assertFalse(BenchmarkRunner(config).validate())

    def test_a_wrong_config_is_a_value_error_that_names_key_and_remedy(self) -> None:
        config = BenchmarkConfig()
        config.scenario.extra["num_sampels"] = 3
        with self.assertRaises(ValueError) as caught:
            ConfigParser.validate_config(config)
        self.assertIn("num_samples", str(caught.exception))
        config = BenchmarkConfig()
        config.metrics.country_iso_code = "XXX"
        self.assertRaisesRegex(ConfigError, "XXX", ConfigParser.validate_config, config)
        config = BenchmarkConfig()
        config.backend.type = "optimum"
        self.assertRaisesRegex(ValueError, "Invalid backend type", ConfigParser.validate_config, config)
        self.assertRaises(ValueError, BenchmarkRunner, config)
        config = BenchmarkConfig()
        config.backend.endpoint = None
        self.assertRaisesRegex(ValueError, "requires endpoint", ConfigParser.validate_config, config)
        config = BenchmarkConfig()
        config.scenario.num_samples = 0
        self.assertRaisesRegex(ValueError, "num_samples must be", ConfigParser.validate_config, config)

    def test_a_program_that_is_not_there_is_said_with_a_remedy(self) -> None:
        os.environ["AI_ENERGY_BENCHMARK"] = str(self.folder / "nothing")
        with self.assertRaisesRegex(ProgramNotFoundError, "AI_ENERGY_BENCHMARK"):
            ConfigParser.validate_config(BenchmarkConfig())


INTERRUPTED = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from test_runs import config_for
from ai_energy_benchmarks import BenchmarkInterrupted, BenchmarkRunner
config = config_for(sys.argv[2], "synthetic", 5000)
config.extra["load"] = {"concurrency": 2}
try:
    BenchmarkRunner(config).run()
except KeyboardInterrupt as interrupted:
    assert isinstance(interrupted, BenchmarkInterrupted)
    print(json.dumps(interrupted.results["summary"]))
"""


@unittest.skipIf(sys.platform == "win32", "signals")
class Interrupts(Case):
    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", INTERRUPTED, json.dumps(sys.path), self.server()]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + 60
        # Eight requests are journalled: the run is in full swing.
        while sum(len(path.read_text().splitlines()) for path in self.folder.glob("*/*/requests.jsonl")) < 8:
            self.assertLess(time.monotonic(), deadline, "the run does not come to its requests")
            time.sleep(0.02)
        return process

    def test_ctrl_c_keeps_what_was_measured_and_hands_it_over(self) -> None:
        process = self.start()
        # What a terminal does: the whole group gets it.
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        summary = json.loads(out)
        self.assertGreaterEqual(summary["successful_prompts"], 5, err)
        (report,) = self.reports()
        self.assertEqual(report["summary"], summary)

    def test_a_termination_ends_the_program_too_and_its_results_are_kept(self) -> None:
        process = self.start()
        process.terminate()
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGTERM)
        (report,) = self.reports()
        self.assertGreaterEqual(report["summary"]["successful_prompts"], 5)


class Parts(Case):
    def test_a_backend_answers_one_prompt(self) -> None:
        backend = VLLMBackend(self.server(), "simulated")
        self.assertTrue(backend.validate_environment() and backend.health_check())
        answer = backend.run_inference("Hello", max_tokens=5)
        self.assertTrue(answer["success"], answer)
        self.assertEqual((answer["completion_tokens"], answer["error"]), (5, None))
        self.assertTrue(answer["text"])
        self.assertLess(answer["time_to_first_token"], answer["latency_seconds"])
        self.assertEqual(backend.get_endpoint_info()["model"], "simulated")
        self.assertFalse(self.reports(), "one answer leaves no run folder")

    def test_a_backend_that_is_not_there_says_so_without_an_exception(self) -> None:
        backend = VLLMBackend("http://127.0.0.1:1/v1", "m")
        self.assertFalse(backend.validate_environment())
        answer = backend.run_inference("Hello")
        self.assertFalse(answer["success"])
        self.assertIn("127.0.0.1:1", answer["error"])

    def test_scripts_may_delete_what_a_backend_holds(self) -> None:
        runner = BenchmarkRunner(config_for("http://127.0.0.1:1/v1", "builtin"))
        del runner.backend.model
        runner.backend.model = None
        del runner.backend
        backend = PyTorchBackend("some/model", device="cpu")
        del backend.tokenizer
        self.assertEqual(backend.get_endpoint_info()["model"], "some/model")

    def test_a_dataset_gives_the_texts_of_its_column(self) -> None:
        Path("d.csv").write_text("id,question\n1,first\n2,second\n3,third\n")
        dataset = HuggingFaceDataset()
        self.assertTrue(dataset.validate())
        asked = {"name": "d.csv", "text_column": "question", "num_samples": 2}
        self.assertEqual(dataset.load(asked), ["first", "second"])
        self.assertEqual(len(dataset.load({"dataset_name": "d.csv", "text_column_name": "question"})), 3)
        with self.assertRaisesRegex(ConfigError, "text"):
            dataset.load({"name": "d.csv"})
        self.assertRaises(ValueError, dataset.load, {})

    def test_a_collector_measures_between_two_lines(self) -> None:
        collector = CodeCarbonCollector(output_dir=str(self.folder / "energy"), country_iso_code="FRA")
        self.assertRaises(RuntimeError, collector.stop)
        collector.start()
        self.assertRaises(RuntimeError, collector.start)
        time.sleep(0.5)
        energy = collector.stop()
        self.assertEqual(energy["country"], "FRA")
        self.assertGreater(energy["duration_seconds"], 0)
        self.assertTrue(math.isnan(energy["gpu_energy_wh"]) or energy["gpu_energy_wh"] >= 0)
        self.assertEqual(len((self.folder / "energy/energy.csv").read_text().splitlines()), 2)
        self.assertEqual(collector.get_current_metrics()["status"], "idle")

    def test_csv_rows_are_flat_and_other_columns_are_refused(self) -> None:
        reporter = CSVReporter("out/x.csv")
        self.assertTrue(reporter.validate())
        reporter.report({"summary": {"total": 3}, "config": {"device_ids": [0, 1]}})
        reporter.report({"summary": {"total": 4}, "config": {"device_ids": [0, 1]}})
        lines = Path("out/x.csv").read_text().splitlines()
        self.assertEqual((lines[0], lines[1][:8]), ("summary_total,config_device_ids,timestamp", '3,"0,1",'))
        with self.assertRaisesRegex(ValueError, "x.csv"):
            reporter.report({"other": 1})
        self.assertEqual(len(Path("out/x.csv").read_text().splitlines()), 3)


class Gpus(Case):
    def test_without_a_driver_there_are_no_stats(self) -> None:
        os.environ["AI_ENERGY_NVML"] = "/nowhere/libnvidia-ml.so"
        self.assertIsNone(GPUMonitor.get_gpu_stats(7))
        self.assertEqual(GPUMonitor.check_multi_gpu_available([7]), {7: False})

    @unittest.skipUnless(fake_nvml(), "AI_ENERGY_TEST_NVML names no library")
    def test_the_drivers_values_arrive(self) -> None:
        os.environ["AI_ENERGY_NVML"] = str(fake_nvml())
        stats = GPUMonitor.get_gpu_stats(0)
        assert stats is not None
        self.assertEqual((stats.gpu_id, stats.temperature_c), (0, 61.0))
        self.assertGreater(stats.memory_total_mb, 0)
        self.assertTrue(GPUMonitor.check_gpu_available(0))
        watched = GPUMonitor.monitor_during_operation(lambda: 1 / 0, 0, 0.01)
        self.assertEqual((watched["success"], watched["error"]), (False, "division by zero"))
        self.assertGreaterEqual(watched["gpu_stats"]["samples"], 1)

    @unittest.skipUnless(fake_nvml(), "AI_ENERGY_TEST_NVML names no library")
    def test_gpu_energy_reaches_the_results(self) -> None:
        address = self.server("--inter-token", "20ms")
        os.environ["AI_ENERGY_NVML"] = str(fake_nvml())
        results = BenchmarkRunner(config_for(address, self.prompts("a", "b", "c", "d"), 4)).run()
        seconds, energy = results["summary"]["total_duration_seconds"], results["energy"]["gpu_energy_wh"]
        figure = next(
            entry["energy"] for entry in results["figures"]["energy"]["domains"] if entry["domain"] == "gpu"
        )
        # 100 W for so long, within the figure's own doubt.
        self.assertLessEqual(abs(energy * 3600 - 100 * seconds), figure["ci95"])
        self.assertEqual(results["energy"]["energy_wh"], energy)


class Threads(Case):
    def test_runs_on_a_thread_of_their_own_work_too(self) -> None:
        runner = BenchmarkRunner(config_for(self.server(), self.prompts("a", "b")))
        got: list[object] = []
        thread = threading.Thread(target=lambda: got.append(runner.run()["summary"]["successful_prompts"]))
        thread.start()
        thread.join()
        self.assertEqual(got, [2])

    def test_an_error_of_a_thread_is_the_same_exception(self) -> None:
        caught: list[BenchmarkError] = []

        def run() -> None:
            try:
                BenchmarkRunner(config_for("http://127.0.0.1:1/v1", "builtin")).run()
            except BenchmarkError as error:
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        self.assertIsInstance(caught[0], BackendError)


if __name__ == "__main__":
    unittest.main()
