"""The example whose answers are proven, with a circuit of its own."""

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from vagus.agents import Agent
from vagus.agents.zk.circuit import add_file

__all__ = ["EXAMPLE", "Built", "built_in"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "iris"
PARTS = ("circuit", "settings", "vk", "srs")


@dataclass
class Built:
    """A copy of the example whose circuit is built: its folder, ezkl's Python, the agent's module."""

    folder: Path
    python: Path
    module: ModuleType

    @property
    def build(self) -> Path:
        return self.folder / "build"

    def agent(self) -> Agent:
        found: Agent = self.module.IrisAgent()
        return found

    def ask(self, script: str, *words: object) -> str:
        """What a script of the test's own prints in ezkl's environment, which knows nothing of vagus."""
        done = subprocess.run(
            [self.python, "-I", "-c", script, *map(str, words)],
            cwd=self.build,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip().splitlines()[-1]


def built_in(folder: Path, python: Path) -> Built:
    """Copy the example, build its circuit with a reference string for tests, and keep the files."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("build", "circuit.json"))
    command = [python, folder / "build.py", "--insecure-srs"]
    subprocess.run(command, check=True, capture_output=True)
    for part in PARTS:
        add_file(folder / "build" / part)
    name = f"vagus_iris_{folder.name}"
    path = folder / "src" / "vagus_iris" / "agent.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Built(folder, python, module)
