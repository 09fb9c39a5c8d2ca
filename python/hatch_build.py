"""Puts the programs into the wheel and gives it the tag of the machine that they run on.

`AI_ENERGY_WHEEL_PROGRAMS` names programs that are built already (a list like `PATH`) and `AI_ENERGY_WHEEL_TAG` their
platform tag; `cargo xtask dist` sets both. Without them, as when pip installs the source distribution, cargo builds the
command line here, and the tag is this machine's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROGRAM = "ai-energy-benchmark"
SUFFIX = ".exe" if sys.platform == "win32" else ""


class Programs(BuildHookInterface):  # type: ignore[type-arg]
    """The build hook that hatchling finds here."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Names the programs as scripts of the wheel."""
        if version == "editable":
            return
        programs = prebuilt() or [build(Path(self.root))]
        build_data["shared_scripts"] = {str(program): program.name for program in programs}
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"


def prebuilt() -> list[Path]:
    """The programs that the environment names; a name without a file is an error, no reason to build another one."""
    named = os.environ.get("AI_ENERGY_WHEEL_PROGRAMS", "")
    programs = [Path(name) for name in named.split(os.pathsep) if name]
    for program in programs:
        if not program.is_file():
            raise FileNotFoundError(f"AI_ENERGY_WHEEL_PROGRAMS names {program}, which is no file")
    return programs


def build(root: Path) -> Path:
    """The command line, built by cargo from the sources beside this file."""
    manifest = next((path for path in (root / "rust/Cargo.toml", root.parent / "Cargo.toml") if path.is_file()), None)
    if manifest is None or shutil.which("cargo") is None:
        raise RuntimeError(
            "no wheel fits this machine and there is no cargo to build one with: "
            "install Rust, or name a built program with AI_ENERGY_WHEEL_PROGRAMS"
        )
    command = ["cargo", "build", "--release", "--locked", "--package", "ai-energy-cli"]
    subprocess.run([*command, "--manifest-path", str(manifest)], check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", manifest.parent / "target"))
    return target / "release" / f"{PROGRAM}{SUFFIX}"


def platform_tag() -> str:
    """The platform part of the wheel's tag."""
    named = os.environ.get("AI_ENERGY_WHEEL_TAG")
    return named or sysconfig.get_platform().replace("-", "_").replace(".", "_")
