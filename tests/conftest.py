"""Hypothesis for every test: the same examples in each run, and no deadline on a busy machine."""

from hypothesis import settings

settings.register_profile("vagus", deadline=None, derandomize=True)
settings.load_profile("vagus")
