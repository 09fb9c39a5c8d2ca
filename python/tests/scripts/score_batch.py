"""A batch over a table of models as users of the older package have them: formatters looked at, one run a model, what the
runner holds deleted afterwards, a table of sums and shares. Written for the tests; the imports are the point."""

from __future__ import annotations

import csv
import gc
import sys
from pathlib import Path
from typing import Any, Optional

from ai_energy_benchmarks.config.parser import (
    BackendConfig,
    BenchmarkConfig,
    MetricsConfig,
    ReporterConfig,
    ScenarioConfig,
)
from ai_energy_benchmarks.formatters.harmony import HarmonyFormatter
from ai_energy_benchmarks.formatters.registry import FormatterRegistry
from ai_energy_benchmarks.runner import BenchmarkRunner


def reasoning_of(model: str, template: str) -> tuple[str, Optional[dict[str, Any]]]:
    """Which kind of model it is, and its parameters."""
    registry = FormatterRegistry()
    formatter = registry.get_formatter(model)
    if isinstance(formatter, HarmonyFormatter):
        effort = template.split(":")[-1].strip()
        assert effort in formatter.format_prompt("x", reasoning_params={"reasoning_effort": effort})
        return "harmony", {"reasoning_effort": effort}
    if formatter is None and registry._find_model_config(model) is not None:
        return "template", {"enable_thinking": "true" in template.lower()}
    return "unknown" if formatter is None else type(formatter).__name__, None


def config_for(model: str, params: Optional[dict[str, Any]], endpoint: str, prompts: str, folder: Path) -> BenchmarkConfig:
    kwargs = {"max_new_tokens": 12, "min_new_tokens": 1} if params else {"max_new_tokens": 10, "min_new_tokens": 10}
    return BenchmarkConfig(
        name=f"ai_energy_score_{model}",
        backend=BackendConfig(type="vllm", model=model, endpoint=endpoint),
        scenario=ScenarioConfig(
            dataset_name=prompts,
            text_column_name="text",
            num_samples=3,
            reasoning=bool(params),
            reasoning_params=params,
            generate_kwargs=kwargs,
        ),
        metrics=MetricsConfig(
            enabled=True,
            type="codecarbon",
            project_name=f"ai_energy_score_{model.replace('/', '_')}",
            output_dir=str(folder / "emissions"),
            country_iso_code="USA",
            region="california",
        ),
        reporter=ReporterConfig(type="csv", output_file=str(folder / "benchmark_results.csv")),
        output_dir=str(folder),
    )


def clean_up(runner: Any) -> None:
    if hasattr(runner, "backend") and hasattr(runner.backend, "model"):
        del runner.backend.model
        runner.backend.model = None
    if hasattr(runner, "backend") and hasattr(runner.backend, "tokenizer"):
        del runner.backend.tokenizer
        runner.backend.tokenizer = None
    if hasattr(runner, "backend"):
        del runner.backend
    gc.collect()


def row_for(model: str, kind: str, results: dict[str, Any]) -> dict[str, Any]:
    summary, energy = results["summary"], results["energy"]
    wh, prompts = energy.get("gpu_energy_wh", 0), summary["successful_prompts"]
    joules = wh * 3600
    return {
        "model_name": model,
        "kind": kind,
        "successful_prompts": prompts,
        "total_tokens": summary["total_tokens"],
        "gpu_energy_wh": f"{wh:.6f}",
        "wh_per_1000_queries": f"{wh / prompts * 1000:.4f}",
        "tokens_per_joule": f"{summary['total_tokens'] / joules if joules != 0 else 0:.4f}",
        "co2_emissions_g": f"{energy.get('emissions_g_co2eq', 0):.6f}",
    }


def main() -> None:
    models, endpoint, prompts, out = sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])
    rows = []
    with open(models, newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            model = line["Models to Add"].replace("hub:", "")
            kind, params = reasoning_of(model, line["Chat Template"])
            folder = out / "individual_runs" / model.replace("/", "_")
            folder.mkdir(parents=True)
            runner = BenchmarkRunner(config_for(model, params, endpoint, prompts, folder))
            if not runner.validate():
                sys.exit(f"{model} cannot be run")
            rows.append(row_for(model, kind, runner.run()))
            clean_up(runner)
            del runner
    with open(out / "master_results.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
