"""A pytest plugin for adapters' authors: `pytest -p vagus.adapters.conformance.plugin`.

A test that reaches what is not written yet (NotImplementedError) fails in one line that says what,
without a traceback, and the run ends with how many tests wait for what. With `--kit` a run without
the kit is an error.
"""

from collections import Counter
from collections.abc import Generator, Iterator

import pytest

from vagus.adapters.conformance.suite import AdapterConformance

__all__ = ["unwritten"]

_WAITING = pytest.StashKey[Counter[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--kit`."""
    parser.addoption("--kit", action="store_true", help="fail unless an AdapterConformance is here")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Look for the kit where it was asked for."""
    if config.getoption("--kit"):
        classes = [item.cls for item in items if isinstance(item, pytest.Function) and item.cls]
        if not any(issubclass(each, AdapterConformance) for each in classes):
            raise pytest.UsageError(
                "no test class here is a vagus.adapters.conformance.AdapterConformance; "
                "`vagus adapters new` writes one to copy"
            )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Say what a fixture waits for."""
    return (yield from _in_words(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Say what a test waits for."""
    return (yield from _in_words(item))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter,
) -> Generator[None, object, object]:
    """Say at the end what to write next: what most tests wait for."""
    result = yield
    waiting = terminalreporter.config.stash.get(_WAITING, Counter())
    if waiting:
        terminalreporter.section("how many tests wait for what")
    for said, count in waiting.most_common():
        terminalreporter.write_line(f"{count:5}  {said}")
    return result


def _in_words(item: pytest.Item) -> Generator[None, object, object]:
    try:
        return (yield)
    except Exception as error:
        if (missing := unwritten(error)) is None:
            raise
        said = str(missing) or "not written yet: it raises NotImplementedError without a word"
    item.config.stash.setdefault(_WAITING, Counter())[said] += 1
    pytest.fail(said, pytrace=False)


def unwritten(error: BaseException) -> NotImplementedError | None:
    """Return the NotImplementedError that an exception is, holds or comes from; None if there is none."""
    return next((each for each in _all(error) if isinstance(each, NotImplementedError)), None)


def _all(error: BaseException | None) -> Iterator[BaseException]:
    if error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _all(each)
        yield from _all(error.__cause__)
