"""vagus as a stranger has it: wheels in a virtual environment of their own."""

import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "UV", "environment_in", "run"]

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).parent / "uv"


def run(*command: object) -> str:
    """Run a command to its end, which must be good; what it printed."""
    done = subprocess.run(
        [str(each) for each in command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment_in(folder: Path) -> Path:
    """Make an environment with vagus and the example's agent; its dependencies as they are pinned.

    No chain's extra is in it. Returns the folder of its programs.
    """
    for source in (ROOT, ROOT / "examples" / "stance"):
        where = ("--no-build-isolation", "--python", sys.executable, "--offline", "-q")
        run(UV, "build", "--wheel", *where, "-o", folder, source)
    (vagus,) = folder.glob("vagus-*.whl")
    (plugin,) = folder.glob("vagus_stance-*.whl")
    run(UV, "venv", "-q", "--python", sys.executable, folder / "env")
    python = folder / "env" / "bin" / "python"
    pins = ("-c", ROOT / "requirements" / "dev.txt")
    run(UV, "pip", "install", "-q", "--python", python, *pins, f"{vagus}[local,test]", plugin)
    return folder / "env" / "bin"
