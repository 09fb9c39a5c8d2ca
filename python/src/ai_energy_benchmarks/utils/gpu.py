"""The state of GPUs, as the program reads it from the driver."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional

from ai_energy_benchmarks.errors import BenchmarkError
from ai_energy_benchmarks.program import ask

#: How long one look takes, s.
_LOOK = 0.1


@dataclass
class GPUStats:
    """One GPU at one moment. NaN where the driver does not say; None for temperature and power, as scripts expect."""

    gpu_id: int
    utilization_percent: float
    memory_used_mb: float
    memory_total_mb: float
    memory_percent: float
    temperature_c: Optional[float]
    power_draw_w: Optional[float]
    timestamp: float


class GPUMonitor:
    """Looks at GPUs. Where there is none, or no driver, there are no stats."""

    @staticmethod
    def get_gpu_stats(gpu_id: int = 0) -> Optional[GPUStats]:
        """One GPU by its number; None where it is not there."""
        return GPUMonitor.get_multi_gpu_stats([gpu_id]).get(gpu_id)

    @staticmethod
    def get_multi_gpu_stats(gpu_ids: Optional[list[int]] = None) -> dict[int, GPUStats]:
        """Several GPUs by number, all where none are named; those that are not there are left out."""
        try:
            answer = ask(["doctor", "--format", "json", "--seconds", str(_LOOK), "metrics.sources=[nvml, rocm]"])
        except BenchmarkError:
            return {}
        now = time.time()
        found = {state["index"]: _stats(state, now) for state in answer["gpus"]}
        return {number: stats for number, stats in found.items() if gpu_ids is None or number in gpu_ids}

    @staticmethod
    def check_gpu_available(gpu_id: int = 0) -> bool:
        """Whether the GPU is there."""
        return GPUMonitor.get_gpu_stats(gpu_id) is not None

    @staticmethod
    def check_multi_gpu_available(gpu_ids: list[int]) -> dict[int, bool]:
        """Which of these GPUs are there."""
        found = GPUMonitor.get_multi_gpu_stats(gpu_ids)
        return {number: number in found for number in gpu_ids}

    @staticmethod
    def monitor_during_operation(
        operation_func: Callable[..., Any], gpu_id: int = 0, interval: float = 0.5, *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Calls a function and looks at a GPU meanwhile, every `interval` seconds. For energy use a collector."""
        looks: list[GPUStats] = []
        done = threading.Event()

        def look() -> None:
            while True:
                stats = GPUMonitor.get_gpu_stats(gpu_id)
                if stats is not None:
                    looks.append(stats)
                if done.wait(interval):
                    return

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        start = time.monotonic()
        result, error = None, None
        try:
            result = operation_func(*args, **kwargs)
        except Exception as caught:  # The caller gets it as a text, as ever.
            error = str(caught)
        duration = time.monotonic() - start
        done.set()
        watcher.join()
        return {
            "result": result,
            "success": error is None,
            "error": error,
            "duration": duration,
            "gpu_stats": _summary(gpu_id, looks),
        }

    @staticmethod
    def print_gpu_info(gpu_id: int = 0) -> None:
        """Prints what is known of a GPU."""
        stats = GPUMonitor.get_gpu_stats(gpu_id)
        if stats is None:
            print(f"GPU {gpu_id}: not available")
            return
        print(f"GPU {gpu_id}:")
        print(f"  load    {stats.utilization_percent:.0f} %")
        print(f"  memory  {stats.memory_used_mb:.0f} of {stats.memory_total_mb:.0f} MB ({stats.memory_percent:.1f} %)")
        if stats.temperature_c is not None:
            print(f"  heat    {stats.temperature_c:.0f} °C")
        if stats.power_draw_w is not None:
            print(f"  power   {stats.power_draw_w:.1f} W")


def _stats(state: dict[str, Any], now: float) -> GPUStats:
    used, total = _number(state, "memory_used_mib"), _number(state, "memory_total_mib")
    return GPUStats(
        gpu_id=state["index"],
        utilization_percent=_number(state, "utilization_percent"),
        memory_used_mb=used,
        memory_total_mb=total,
        memory_percent=used / total * 100 if total else math.nan,
        temperature_c=state.get("temperature_c"),
        power_draw_w=state.get("power_draw_w"),
        timestamp=now,
    )


def _number(state: dict[str, Any], key: str) -> float:
    value = state.get(key)
    return math.nan if value is None else float(value)


def _summary(gpu_id: int, looks: list[GPUStats]) -> dict[str, Any]:
    load = [stats.utilization_percent for stats in looks]
    memory = [stats.memory_used_mb for stats in looks]
    power = [stats.power_draw_w for stats in looks if stats.power_draw_w is not None]
    return {
        "gpu_id": gpu_id,
        "samples": len(looks),
        "avg_utilization_percent": _mean(load),
        "max_utilization_percent": max(load, default=math.nan),
        "avg_memory_mb": _mean(memory),
        "max_memory_mb": max(memory, default=math.nan),
        "avg_power_w": _mean(power) if power else None,
        "max_power_w": max(power, default=None),
        "gpu_active": max(load, default=0.0) > 5.0,
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
