"""`python -m ai_energy_benchmarks …` is `ai-energy-benchmark …` with this interpreter's package."""

import os
import subprocess
import sys

from ai_energy_benchmarks.program import find


def main() -> int:
    """Becomes the program; where the system cannot do that, waits for it."""
    program = find()
    if sys.platform == "win32":
        return subprocess.run([program, *sys.argv[1:]], check=False).returncode
    os.execv(program, [program, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
