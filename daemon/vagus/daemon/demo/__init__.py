"""The main job, on real nodes and a real model: `vagus demo`."""

from vagus.daemon.demo.run import run_demo

__all__ = ["run_demo"]
