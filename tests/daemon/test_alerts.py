"""Alerts, runbook and board: each rule fires where it should, and all of them use what is measured."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.programs import program

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "prometheus" / "vagus.rules.yml"
CASES = Path(__file__).parent / "vagus.rules.test.yml"
BOARD = json.loads((ROOT / "config" / "grafana" / "vagus.json").read_text())
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
METRICS = (ROOT / "docs" / "metrics.md").read_text()
ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text())


def documented() -> set[str]:
    """Every name that docs/metrics.md promises, as PromQL has it."""
    names = set()
    for name, kind in re.findall(r"^\| `(\w+)` \| (\w+) \|", METRICS, re.MULTILINE):
        if kind == "histogram":
            names |= {f"{name}_{part}" for part in ("bucket", "sum", "count")}
        else:
            names.add(f"{name}_total" if kind == "counter" else name)
    return names | {"up"}  # Prometheus' own, of every scrape


def used(expression: str) -> set[str]:
    """The metrics that an expression names: words that are neither in braces, quotes nor brackets."""
    bare = re.sub(r"\{[^}]*\}|\"[^\"]*\"|\[[^\]]*\]", " ", expression)
    bare = re.sub(r"\b(?:by|on|ignoring|without|group_left)\s*\([^)]*\)", " ", bare)
    words = re.findall(r"[a-zA-Z_:][\w:]*", bare)
    functions = set(re.findall(r"([a-z_]+)\s*\(", bare)) | {
        "or",
        "and",
        "unless",
        "sum",
        "min",
        "max",
    }
    return {word for word in words if word not in functions and not re.fullmatch("e[0-9]+", word)}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    return found + [each["expr"] for each in BOARD["annotations"]["list"]]


def promtool(*arguments: object) -> str:
    command = [program("promtool", "prometheus"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_rules_to_prometheus() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", RULES)


def test_each_rule_fires_where_it_should_and_not_where_it_need_not() -> None:
    assert "SUCCESS" in promtool("test", "rules", CASES)


def test_each_rule_is_among_those_that_are_tried() -> None:
    tried = set(re.findall(r"alertname=\"(\w+)\"", CASES.read_text()))
    assert tried == set(ALERTS)


def test_each_alert_has_a_section_of_the_runbook_and_each_section_an_alert() -> None:
    assert re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE) == ALERTS
    for name, body in zip(ALERTS, RUNBOOK.split("\n## ")[1:], strict=True):
        assert all(f"**{part}**:" in body for part in ("Means", "Look", "Do")), name


def test_each_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    for block in RULES.read_text().split("- alert: ")[1:]:
        name = block.split()[0]
        assert re.search(r"severity: (critical|warning)\n", block), name
        assert f"runbook: docs/runbook.md#{name.lower()}\n" in block


def test_rules_and_board_use_metrics_that_are_documented() -> None:
    rules = re.findall(r"expr: (?:\|\n)?((?:.|\n)*?)\n +(?:for|labels):", RULES.read_text())
    assert len(rules) == len(ALERTS)
    for expression in [*rules, *expressions()]:
        found = used(expression)
        assert found
        assert found <= documented(), expression


def test_every_metric_of_the_node_is_on_the_board_or_in_a_rule() -> None:
    text = RULES.read_text() + " ".join(expressions())
    left = {
        name
        for name, _ in re.findall(r"^\| `(vagus_\w+)` \| (\w+) \|", METRICS, re.MULTILINE)
        if name not in text
    }
    assert left == {"vagus_build_info", "vagus_event_listeners"}  # of interest to who asks


def test_the_boards_expressions_are_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"board:{at}", "expr": expression.replace("$instance", ".*")}
        for at, expression in enumerate(expressions())
    ]
    path = tmp_path / "board.yml"
    path.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", path)


def test_the_board_can_be_imported_anywhere() -> None:
    assert (BOARD["uid"], BOARD["title"], BOARD["schemaVersion"]) == ("vagus", "vagus", 39)
    variables = {each["name"] for each in BOARD["templating"]["list"]}
    assert variables == {"datasource", "instance"}
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels():
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters))


def test_no_panel_lies_over_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


@pytest.mark.parametrize("path", [RULES, ROOT / "config" / "grafana" / "vagus.json"])
def test_no_address_of_anybody_is_in_what_is_shipped(path: Path) -> None:
    assert not re.search(r"https?://|\b\d+\.\d+\.\d+\.\d+\b", path.read_text())
