"""The package's surface: every import that scripts make, configs, formatters, commands."""

from __future__ import annotations

import importlib
import importlib.resources
import json
import os
import pty
import subprocess
import sys
import unittest
from pathlib import Path

from support import Case

import ai_energy_benchmarks
from ai_energy_benchmarks import program
from ai_energy_benchmarks.config import parser
from ai_energy_benchmarks.config.parser import BackendConfig, BenchmarkConfig, ConfigParser, ScenarioConfig, tree_of
from ai_energy_benchmarks.formatters.harmony import HarmonyFormatter
from ai_energy_benchmarks.formatters.parameter import ParameterFormatter
from ai_energy_benchmarks.formatters.prefix import PrefixFormatter
from ai_energy_benchmarks.formatters.registry import FormatterRegistry
from ai_energy_benchmarks.formatters.system_prompt import SystemPromptFormatter

#: Module and names, as the compatible surface has them.
SURFACE = {
    "ai_energy_benchmarks": "BenchmarkRunner BenchmarkConfig ConfigParser __version__",
    "ai_energy_benchmarks.runner": "BenchmarkRunner run_benchmark_from_config",
    "ai_energy_benchmarks.config.parser": "BackendConfig ScenarioConfig MetricsConfig ReporterConfig BenchmarkConfig ConfigParser",
    "ai_energy_benchmarks.formatters.registry": "FormatterRegistry",
    "ai_energy_benchmarks.formatters.harmony": "HarmonyFormatter",
    "ai_energy_benchmarks.formatters.system_prompt": "SystemPromptFormatter",
    "ai_energy_benchmarks.formatters.parameter": "ParameterFormatter",
    "ai_energy_benchmarks.formatters.prefix": "PrefixFormatter",
    "ai_energy_benchmarks.backends.base": "Backend",
    "ai_energy_benchmarks.backends.vllm": "VLLMBackend",
    "ai_energy_benchmarks.backends.pytorch": "PyTorchBackend",
    "ai_energy_benchmarks.datasets.base": "Dataset",
    "ai_energy_benchmarks.datasets.huggingface": "HuggingFaceDataset",
    "ai_energy_benchmarks.metrics.base": "MetricsCollector",
    "ai_energy_benchmarks.metrics.codecarbon": "CodeCarbonCollector",
    "ai_energy_benchmarks.reporters.base": "Reporter",
    "ai_energy_benchmarks.reporters.csv_reporter": "CSVReporter",
    "ai_energy_benchmarks.utils.gpu": "GPUMonitor",
}


class Surface(Case):
    def test_every_import_works(self) -> None:
        for module, names in SURFACE.items():
            for name in names.split():
                self.assertTrue(hasattr(importlib.import_module(module), name), f"{module}.{name}")

    def test_the_version_is_the_programs_and_above_the_old_packages(self) -> None:
        self.assertEqual(ai_energy_benchmarks.__version__, program.version())
        self.assertGreater(tuple(map(int, ai_energy_benchmarks.__version__.split("."))), (0, 0, 7))

    def test_the_package_says_that_it_is_typed(self) -> None:
        self.assertTrue(importlib.resources.files("ai_energy_benchmarks").joinpath("py.typed").is_file())

    def test_the_module_is_the_program(self) -> None:
        package = Path(ai_energy_benchmarks.__file__).parent.parent
        done = subprocess.run(
            [sys.executable, "-m", "ai_energy_benchmarks", "run", "backend.modle=x"],
            env={**os.environ, "PYTHONPATH": str(package)},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 2)
        self.assertIn("backend.model", done.stderr)


class Configs(Case):
    def test_defaults_are_the_programs(self) -> None:
        Path("empty.yaml").write_text("name: benchmark\n")
        loaded, ours = ConfigParser.load_config("empty.yaml"), BenchmarkConfig()
        # The program collects only where it is told to; the older package always did.
        for section, key in (("metrics", "output_dir"), ("reporter", "output_file")):
            setattr(getattr(loaded, section), key, getattr(getattr(ours, section), key))
        self.assertEqual(tree_of(loaded), tree_of(ours))

    def test_files_resolve_groups_variables_and_overrides(self) -> None:
        os.environ["WANTED"] = "12"
        text = "defaults: [{backend: pytorch}, _self_]\nscenario: {num_samples: '${WANTED}'}\nload: {concurrency: 3}\n"
        Path("bench.yaml").write_text(text)
        config = ConfigParser.load_config("bench.yaml")
        self.assertEqual((config.backend.type, config.scenario.num_samples), ("pytorch", 12))
        self.assertEqual(config.extra, {"load": {"concurrency": 3}})
        overrides = {"backend": {"model": "gpt2"}, "scenario": {"reasoning_params": {"reasoning_effort": "low"}}}
        config = ConfigParser.load_config_with_overrides("bench.yaml", overrides)
        self.assertEqual(config.backend.model, "gpt2")
        self.assertEqual(config.scenario.reasoning_params, {"reasoning_effort": "low"})
        self.assertTrue(ConfigParser.validate_config(config))
        self.assertEqual(ConfigParser.load_config_with_overrides("bench.yaml", ["name=n"]).name, "n")

    def test_a_wrong_file_names_line_and_key(self) -> None:
        Path("bad.yaml").write_text("name: x\nbackend:\n  modle: y\n")
        with self.assertRaises(ValueError) as caught:
            ConfigParser.load_config("bad.yaml")
        for part in ("bad.yaml", "3", "backend.modle", "backend.model"):
            self.assertIn(part, str(caught.exception))

    def test_containers_of_omegaconf_are_values(self) -> None:
        try:
            from omegaconf import OmegaConf
        except ImportError:
            self.skipTest("omegaconf is not installed")
        score = OmegaConf.create(
            {
                "backend": {"model": "gpt2", "device_ids": "0, 1, 2", "max_memory": {0: "20GB"}},
                "scenario": {
                    "n": 5,
                    "reasoning_params": {"reasoning_effort": "high"},
                    "generate_kwargs": {"max_new_tokens": 10, "min_new_tokens": "${scenario.n}"},
                },
                "ids": [0, 3],
            }
        )
        backend = BackendConfig(
            type="pytorch", model=score.backend.model, device_ids=score.ids, max_memory=score.backend.max_memory
        )
        scenario = ScenarioConfig(
            num_samples=score.scenario.n,
            reasoning=True,
            reasoning_params=score.scenario.reasoning_params,
            generate_kwargs=score.scenario.generate_kwargs,
        )
        config = BenchmarkConfig(backend=backend, scenario=scenario)
        self.assertTrue(ConfigParser.validate_config(config))
        tree = json.loads(json.dumps(tree_of(config)))
        self.assertEqual(tree["backend"]["device_ids"], [0, 3])
        self.assertEqual(tree["backend"]["max_memory"], {"0": "20GB"})
        self.assertEqual(tree["scenario"]["generate_kwargs"], {"max_new_tokens": 10, "min_new_tokens": 5})
        self.assertEqual(tree["scenario"]["reasoning_params"], {"reasoning_effort": "high"})
        config.backend.device_ids = score.backend.device_ids
        self.assertTrue(ConfigParser.validate_config(config))

    def test_values_stay_usable_as_maps(self) -> None:
        scenario = ScenarioConfig(generate_kwargs={"max_new_tokens": 8192})
        scenario.generate_kwargs["min_new_tokens"] = 1
        self.assertEqual(parser.plain(scenario)["generate_kwargs"], {"max_new_tokens": 8192, "min_new_tokens": 1})


class Formatters(Case):
    def test_each_family_has_its_class(self) -> None:
        registry = FormatterRegistry()
        for model, kind in {
            "openai/gpt-oss-20b": HarmonyFormatter,
            "OpenAI/GPT-OSS-120B": HarmonyFormatter,
            "HuggingFaceTB/SmolLM3-3B": SystemPromptFormatter,
            "tencent/Hunyuan-1.8B-Instruct": SystemPromptFormatter,
            "nvidia/nemotron-340b": SystemPromptFormatter,
            "deepseek-ai/DeepSeek-R1": PrefixFormatter,
            "x/deepseek-parameter": ParameterFormatter,
            "microsoft/Phi-4-reasoning-plus": ParameterFormatter,
            "google/gemma-2-9b": ParameterFormatter,
            "LGAI-EXAONE/EXAONE-4": ParameterFormatter,
        }.items():
            self.assertIsInstance(registry.get_formatter(model), kind, model)
        self.assertIs(registry.get_formatter("openai/gpt-oss-20b"), registry.get_formatter("openai/gpt-oss-20b"))
        hunyuan = registry.get_formatter("hunyuan-large")
        self.assertEqual((hunyuan.enable_flag, hunyuan.disable_flag, hunyuan.default_enabled), ("/think", None, False))

    def test_chat_template_models_are_known_and_have_no_formatter(self) -> None:
        registry = FormatterRegistry()
        self.assertIsNone(registry.get_formatter("Qwen/Qwen3-8B"))
        self.assertIsNone(registry._find_model_config("Qwen/Qwen3-8B")["type"])
        self.assertIsNone(registry.get_formatter("nobody/knows"))
        self.assertIsNone(registry._find_model_config("nobody/knows"))
        self.assertEqual(registry._find_model_config("openai/gpt-oss-20b")["type"], "harmony")

    def test_harmony_lays_out_what_the_program_lays_out(self) -> None:
        formatter = HarmonyFormatter()
        self.assertIn("Reasoning: high\n", formatter.format_prompt("Why?"))
        text = formatter.format_prompt("Why?", reasoning_params={"reasoning_effort": "low"})
        self.assertIn("<|start|>system<|message|>You are a helpful AI assistant.\n", text)
        self.assertIn("Reasoning: low\n", text)
        self.assertTrue(text.endswith("<|start|>user<|message|>Why?<|end|>"), text)
        self.assertEqual(formatter.get_generation_params({"reasoning_effort": "low"}), {})
        with self.assertRaisesRegex(ValueError, "reasoning_effort"):
            formatter.format_prompt("Why?", {"reasoning_effort": "hihg"})

    def test_flags_prefixes_and_parameters(self) -> None:
        flags = SystemPromptFormatter()
        self.assertEqual(flags.format_prompt("Why?"), "Why?")
        self.assertTrue(flags.format_prompt("Why?", {"enable_thinking": True}).startswith("/think\n"))
        self.assertTrue(flags.format_prompt("Why?", {"reasoning_effort": "high"}).startswith("/think\n"))
        on_by_default = SystemPromptFormatter(None, "/no_think", True)
        self.assertEqual(on_by_default.format_prompt("Why?"), "Why?")
        self.assertTrue(on_by_default.format_prompt("Why?", {"enable_thinking": False}).startswith("/no_think\n"))
        self.assertEqual(flags.get_generation_params({"enable_thinking": True}), {})
        prefix = PrefixFormatter("<think>", "</end>")
        self.assertEqual(prefix.format_prompt("Why?"), "<think>Why?</end>")
        self.assertEqual(prefix.format_prompt("Why?", {"enable_thinking": False}), "Why?")
        self.assertEqual(prefix.get_generation_params(), {})
        parameter = FormatterRegistry().get_formatter("google/gemma-2-9b")
        wanted = {"enable_thinking": True, "thinking_budget": 100}
        self.assertEqual(parameter.format_prompt("Why?", wanted), "Why?")
        self.assertEqual(parameter.get_generation_params(wanted), wanted)
        self.assertEqual(parameter.get_generation_params(), {})

    def test_prompts_of_any_length_and_kind_arrive_whole(self) -> None:
        for prompt in ("", "--model x", "a=b\n'\"\\ ${HOME} {{x}} \N{SNOWMAN}", "word " * 60_000):
            self.assertEqual(PrefixFormatter("<think>").format_prompt(prompt), f"<think>{prompt}")

    def test_a_file_of_ones_own_comes_first(self) -> None:
        Path("formats.yaml").write_text("families: {mine: {patterns: [gpt-oss-20b], type: prefix, prefix: 'Hm. '}}\n")
        registry = FormatterRegistry("formats.yaml")
        self.assertEqual(registry.get_formatter("openai/gpt-oss-20b").format_prompt("Why?"), "Hm. Why?")
        self.assertIsInstance(registry.get_formatter("openai/gpt-oss-120b"), HarmonyFormatter)


class Commands(Case):
    def profile(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        package = Path(ai_energy_benchmarks.__file__).parent.parent
        command = [sys.executable, "-m", "ai_energy_benchmarks.profile", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(package)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def test_the_profile_command_runs_a_profile_by_the_older_flags(self) -> None:
        address = self.server("--ttft", "1ms", "--inter-token", "0ms")
        done = self.profile("--profile", "short_tokens", "--model", "simulated", "--endpoint", address, "--seed", "7",
                            "--endpoint-type", "completions", "--output-dir", "out", "--api-key", "sk-hidden")
        self.assertEqual(done.returncode, 0, done.stderr)
        (report,) = self.reports("out")
        self.assertEqual((report["summary"]["successful_prompts"], report["config"]["name"]), (20, "short_tokens"))
        self.assertEqual(report["backend_info"]["details"]["api"], "completions")
        written = "".join(path.read_text() for path in (self.folder / "out").rglob("*") if path.is_file())
        self.assertNotIn("sk-hidden", written)

    def test_an_unknown_profile_is_refused_with_the_known_ones(self) -> None:
        done = self.profile("--profile", "heavvy", "--model", "m")
        self.assertEqual(done.returncode, 2)
        self.assertIn("heavy", done.stderr)
        self.assertEqual(self.profile("--profile", "light").returncode, 2, "a model must be named")

    def test_on_a_terminal_the_live_line_moves_and_the_report_comes_back(self) -> None:
        script = (
            "import json, sys; sys.path[:0] = json.loads(sys.argv[1])\n"
            "from test_runs import config_for\n"
            "from ai_energy_benchmarks import BenchmarkRunner\n"
            "results = BenchmarkRunner(config_for(sys.argv[2], sys.argv[3], 30)).run()\n"
            "print('GOT', results['summary']['successful_prompts'])\n"
        )
        address = self.server("--ttft", "30ms")
        prompts = self.prompts(*(f"p{number}" for number in range(30)))
        seen = b""

        def read(handle: int) -> bytes:
            nonlocal seen
            piece = os.read(handle, 1024)
            seen += piece
            return b"." if piece else b""

        quiet = os.open(os.devnull, os.O_WRONLY)
        ours = os.dup(1)
        os.dup2(quiet, 1)
        try:
            pty.spawn([sys.executable, "-c", script, json.dumps(sys.path), address, prompts], read)
        finally:
            os.dup2(ours, 1)
        self.assertIn(b"GOT 30", seen)
        self.assertIn(b"\x1b[", seen, "a line that moves")


if __name__ == "__main__":
    unittest.main()
