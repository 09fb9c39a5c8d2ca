"""A script as users of the older package have them: a Hydra config, dataclasses, a run, figures formatted without a look at
whether they are there. Written for the tests; the imports are the point."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from omegaconf import OmegaConf

from ai_energy_benchmarks.config.parser import (
    BackendConfig,
    BenchmarkConfig,
    MetricsConfig,
    ReporterConfig,
    ScenarioConfig,
)
from ai_energy_benchmarks.runner import BenchmarkRunner


def main() -> None:
    name = sys.argv[sys.argv.index("--config-name") + 1]
    score = OmegaConf.load(f"{name}.yaml")
    for override in sys.argv[1:]:
        if "=" in override and not override.startswith("--"):
            key, value = override.split("=", 1)
            OmegaConf.update(score, key, value, merge=True)
    scenario = score.get("scenario", {})
    out = Path(os.environ["RESULTS_DIR"])
    out.mkdir(parents=True, exist_ok=True)
    config = BenchmarkConfig(
        name="ai_energy_benchmark_vllm",
        backend=BackendConfig(type="vllm", model=score.backend.model, endpoint=os.environ["VLLM_ENDPOINT"]),
        scenario=ScenarioConfig(
            dataset_name=scenario.dataset_name,
            text_column_name=scenario.get("text_column_name", "text"),
            num_samples=int(scenario.get("num_samples", 1000)),
            reasoning=scenario.get("reasoning", False),
            reasoning_params=scenario.get("reasoning_params", None),
            generate_kwargs={"max_new_tokens": 10, "min_new_tokens": 10},
        ),
        metrics=MetricsConfig(
            enabled=True,
            type="codecarbon",
            project_name="ai_energy_benchmark",
            output_dir=str(out / "emissions"),
            country_iso_code="USA",
            region="california",
        ),
        reporter=ReporterConfig(type="csv", output_file=str(out / "benchmark_results.csv")),
        output_dir=str(out),
    )
    runner = BenchmarkRunner(config)
    if not runner.validate():
        sys.exit(1)
    results = runner.run()
    with open(out / "benchmark_report.json", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=2)
    if "energy" in results:
        print(f"GPU Energy: {results['energy'].get('gpu_energy_wh', 0):.2f} Wh")


if __name__ == "__main__":
    main()
