"""The grid: each rule of a hub, on each chain's own node. An empty cell without a reason fails the run."""

from collections import defaultdict

import pytest

NODES = ("anvil", "surfpool", "wasmd")
_grid: dict[str, dict[str, str]] = defaultdict(dict)
_reasons: dict[str, set[str]] = defaultdict(set)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    found = dict(report.user_properties)
    if "case" not in found or (report.when != "call" and report.passed):
        return
    case, node = str(found["case"]), str(found["node"])
    shown = "ok"
    for word, kind in (("differs", "different"), ("none", "absent")):
        if kind in found:
            _reasons[f"{word} on {node}: {found[kind]}"].add(case)
            shown = word
    _grid[case][node] = shown if report.passed else "FAILED"


def _empty() -> list[str]:
    return [f"{case} on {node}" for case in _grid for node in NODES if node not in _grid[case]]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if _grid and _empty() and exitstatus == 0 and not session.config.getoption("keyword"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _grid:
        return
    write = terminalreporter.write_line
    width = max(map(len, _grid))
    terminalreporter.section("what every hub does")
    for case, cells in {"": {node: node for node in NODES}, **_grid}.items():
        shown = "  ".join(f"{cells.get(node, 'EMPTY'):8}" for node in NODES)
        write(f"{case:{width}}  {shown}")
    for reason, cases in sorted(_reasons.items()):
        write(f"{reason} ({len(cases)})")
    for cell in _empty():
        write(f"EMPTY: {cell}")
