"""A benchmark's config as dataclasses, for scripts that build or read one.

The defaults are those of the compatible surface; a test holds them to the program's own. What a key means, and whether a config
is right, the program says: parsing and validating ask it. Keys without a field here go through `extra`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from ai_energy_benchmarks.errors import ConfigError
from ai_energy_benchmarks.program import ask

Overrides = Union[Mapping[str, Any], Iterable[str]]


@dataclass
class BackendConfig:
    """What runs the model."""

    type: str = "vllm"
    device: str = "cuda"
    device_ids: Any = field(default_factory=lambda: [0])
    model: str = "openai/gpt-oss-120b"
    endpoint: Optional[str] = "http://localhost:8000/v1"
    task: str = "text-generation"
    torch_dtype: str = "auto"
    device_map: str = "auto"
    max_memory: Optional[Mapping[Any, Any]] = None
    load_in_8bit: bool = False
    load_in_4bit: bool = False
    trust_remote_code: bool = False
    use_cache: bool = True
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class ScenarioConfig:
    """Which prompts, and how they are answered."""

    dataset_name: str = "AIEnergyScore/text_generation"
    text_column_name: str = "text"
    num_samples: int = 10
    truncation: bool = True
    reasoning: bool = False
    reasoning_params: Optional[Mapping[str, Any]] = None
    input_shapes: Any = field(default_factory=lambda: {"batch_size": 1})
    generate_kwargs: Any = field(default_factory=lambda: {"max_new_tokens": 100, "min_new_tokens": 50})
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class MetricsConfig:
    """What energy and carbon are about."""

    type: str = "codecarbon"
    enabled: bool = True
    project_name: str = "ai_energy_benchmarks"
    output_dir: Optional[str] = "./emissions"
    country_iso_code: Optional[str] = "USA"
    region: Optional[str] = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class ReporterConfig:
    """The CSV file that collects runs."""

    type: str = "csv"
    output_file: Optional[str] = "./results/benchmark_results.csv"
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class BenchmarkConfig:
    """One benchmark. `extra` holds further sections of the config, for example `{"load": {"concurrency": 8}}`."""

    name: str = "benchmark"
    backend: BackendConfig = field(default_factory=BackendConfig)
    scenario: ScenarioConfig = field(default_factory=ScenarioConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    reporter: ReporterConfig = field(default_factory=ReporterConfig)
    output_dir: str = "./benchmark_output"
    extra: dict[str, Any] = field(default_factory=dict)


_SECTIONS = {
    "backend": BackendConfig,
    "scenario": ScenarioConfig,
    "metrics": MetricsConfig,
    "reporter": ReporterConfig,
}


def plain(value: Any) -> Any:
    """A value of plain Python types from dataclasses, mappings and sequences of any kind, OmegaConf's containers among them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [one.name for one in dataclasses.fields(value) if one.name != "extra"]
        tree = {name: plain(getattr(value, name)) for name in names}
        return {**tree, **plain(getattr(value, "extra", {}))}
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    # OmegaConf's lists and maps are abstract containers too, though no `dict` and no `list`.
    if hasattr(value, "keys"):
        return {str(key): plain(value[key]) for key in value.keys()}
    if hasattr(value, "__iter__"):
        return [plain(item) for item in value]
    return getattr(value, "value", str(value))


def tree_of(config: BenchmarkConfig) -> dict[str, Any]:
    """The config as the program reads it. What is None is left out: the program's default holds."""
    return _without_none(plain(config))  # type: ignore[no-any-return]


def _without_none(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _without_none(value) for key, value in tree.items() if value is not None}
    return tree


@contextmanager
def as_file(config: BenchmarkConfig) -> Iterator[str]:
    """The config as a file for the program, while the block lasts."""
    with tempfile.TemporaryDirectory(prefix="ai-energy-") as folder:
        path = os.path.join(folder, "BenchmarkConfig.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(tree_of(config), file, indent=1)
        yield path


def override_arguments(overrides: Optional[Overrides]) -> list[str]:
    """Overrides as the program's arguments: a nested map, a map of dotted keys, or `key=value` texts as they are."""
    if overrides is None:
        return []
    if not hasattr(overrides, "keys"):
        return [str(one) for one in overrides]
    return list(_leaves("", plain(overrides)))


def _leaves(prefix: str, tree: Mapping[str, Any]) -> Iterator[str]:
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from _leaves(f"{path}.", value)
        else:
            # `++` also adds keys to free maps such as generate_kwargs. JSON is YAML.
            yield f"++{path}={json.dumps(value)}"


def _section(kind: Any, tree: Mapping[str, Any], stated: Mapping[str, Any]) -> Any:
    """A section with the resolved values of its fields; other keys only where somebody stated them."""
    names = {one.name for one in dataclasses.fields(kind)} - {"extra"}
    known = {name: tree[name] for name in names if tree.get(name) is not None}
    extra = {key: value for key, value in stated.items() if key not in names}
    return kind(**known, extra=extra)


def _stated(tree: Any, origins: Mapping[str, str], prefix: str = "") -> Any:
    """The part of a resolved config that is no default."""
    if not isinstance(tree, dict) or not tree:
        return tree if origins.get(prefix, "default") != "default" else None
    inside = {key: _stated(value, origins, f"{prefix}.{key}".lstrip(".")) for key, value in tree.items()}
    kept = {key: value for key, value in inside.items() if value is not None}
    return kept or None


class ConfigParser:
    """Reads and checks configs, by asking the program."""

    @staticmethod
    def load_config(config_path: Union[str, os.PathLike[str]]) -> BenchmarkConfig:
        """The config of a file, with its groups, variables and defaults resolved.

        Raises:
            FileNotFoundError: there is no such file.
            ConfigError: it is wrong; the text names key, line and the nearest known key.
        """
        return ConfigParser.load_config_with_overrides(config_path)

    @staticmethod
    def load_config_with_overrides(
        config_path: Union[str, os.PathLike[str]], overrides: Optional[Overrides] = None
    ) -> BenchmarkConfig:
        """:meth:`load_config` with overrides: a nested map, a map of dotted keys, or `key=value` texts."""
        path = os.fspath(config_path)
        if not os.path.exists(path):
            raise FileNotFoundError(f"Config file not found: {path}")
        arguments = ["config", "show", "--format", "json", path, *override_arguments(overrides)]
        answer = ask(arguments, decided=False)
        tree: dict[str, Any] = answer["config"]
        stated: dict[str, Any] = _stated(tree, answer["origins"]) or {}
        sections: dict[str, Any] = {
            name: _section(kind, tree.get(name, {}), stated.get(name, {})) for name, kind in _SECTIONS.items()
        }
        further = {key: value for key, value in stated.items() if key not in (*sections, "name", "output_dir")}
        return BenchmarkConfig(name=tree["name"], output_dir=tree["output_dir"], extra=further, **sections)

    @staticmethod
    def validate_config(config: BenchmarkConfig) -> bool:
        """`True` where the program accepts the config.

        Raises:
            ConfigError: it does not; a `ValueError` whose text names the key and what it may be.
        """
        if config.backend.type not in ("vllm", "pytorch"):
            raise ConfigError(f"Invalid backend type: {config.backend.type!r} is neither vllm nor pytorch", 2)
        if config.backend.type == "vllm" and not config.backend.endpoint:
            raise ConfigError("vLLM backend requires endpoint configuration: set backend.endpoint", 2)
        if plain(config.scenario.num_samples) < 1:
            raise ConfigError(f"num_samples must be at least 1, not {config.scenario.num_samples}", 2)
        with as_file(config) as path:
            ask(["config", "show", "--format", "json", path])
        return True
