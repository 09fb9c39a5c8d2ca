"""How model families want their prompts written and their thinking switched.

The rules are the program's; these classes ask it.
"""

from ai_energy_benchmarks.formatters.base import ReasoningFormatter
from ai_energy_benchmarks.formatters.harmony import HarmonyFormatter
from ai_energy_benchmarks.formatters.parameter import ParameterFormatter
from ai_energy_benchmarks.formatters.prefix import PrefixFormatter
from ai_energy_benchmarks.formatters.registry import FormatterRegistry
from ai_energy_benchmarks.formatters.system_prompt import SystemPromptFormatter

__all__ = [
    "FormatterRegistry",
    "HarmonyFormatter",
    "ParameterFormatter",
    "PrefixFormatter",
    "ReasoningFormatter",
    "SystemPromptFormatter",
]
