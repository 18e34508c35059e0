"""`vagus agents`: a new agent passes its tests as it is written, and what is installed is listed."""

import json
import os
import tomllib
from functools import partial
from pathlib import Path

import pytest

from support.commands import VAGUS, run, vagus_here
from support.plugins import install
from vagus.daemon.choices import ChainChoice
from vagus.daemon.folder import make_keys, write_config
from vagus.daemon.scaffold import new_agent

vagus = partial(run, VAGUS, "agents")
FILES = {
    "README.md",
    "manifest.json",
    "pyproject.toml",
    "src/vagus_mood_of_text/__init__.py",
    "src/vagus_mood_of_text/agent.py",
    "tests/test_vagus_mood_of_text.py",
}


def test_a_new_agent_has_all_its_files_and_passes_its_own_tests(tmp_path: Path) -> None:
    made = vagus("new", "mood-of-text", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "mood-of-text"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == FILES
    assert os.listdir(tmp_path) == ["mood-of-text"]
    assert "vagus agents test mood-of-text" in made.stderr
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == "vagus-mood-of-text"
    entry = project["entry-points"]["vagus.agents"]["mood-of-text"]
    assert entry == "vagus_mood_of_text:MoodOfTextAgent"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["name"], manifest["version"]) == ("mood-of-text", "1.0.0")

    tested = vagus("test", "mood-of-text", cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "13 passed" in tested.stdout
    assert "mood-of-text: passed" in tested.stderr

    # What it promises has changed, and what is published has not.
    source = folder / "src" / "vagus_mood_of_text" / "agent.py"
    source.write_text(source.read_text().replace("max_length=4000", "max_length=40"))
    tested = vagus("test", cwd=folder, PYTEST_ADDOPTS="-k manifest")
    assert tested.returncode == 1
    assert "vagus agents manifest mood-of-text@1 > manifest.json" in tested.stdout
    assert "mood-of-text: FAILED" in tested.stderr


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Mood", "no agent's name"),
        ("mood_of", "no agent's name"),
        ("1mood", "no agent's name"),
        ("mood-", "no agent's name"),
        ("a" * 33, "no agent's name"),
        ("../mood", "no agent's name"),
        ("mood$cls", "no agent's name"),
        ("chat", "an agent chat is installed, by vagus"),
        *(
            (each, f"take another, such as my-{each}")
            for each in ("class", "json", "vagus", "test", "testimony", "conftest", "pytest")
        ),
    ],
)
def test_a_name_that_is_none_or_taken_is_refused(name: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=why):
        new_agent(name, tmp_path / "folder")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["agent", "a", "x-1-y", "my-json", "classes", "my-test"])
def test_a_name_like_one_that_python_uses_makes_a_whole_agent(name: str, tmp_path: Path) -> None:
    new_agent(name, tmp_path / "made")
    manifest = json.loads((tmp_path / "made" / "manifest.json").read_text())
    assert manifest["name"] == name


def test_installed_agents_are_listed_for_people_and_as_json() -> None:
    code, out, _ = vagus_here("agents", "list")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["chat@1", "1.0.0", "exact", "vagus"] in [line[:4] for line in lines]
    found = json.loads(vagus_here("agents", "list", "--json")[1])["agents"]
    (number,) = [each for each in found if each["entry"] == "number"]
    assert number.pop("distribution").startswith("vagus ")
    assert number == {
        "id": "number@1",
        "entry": "number",
        "version": "1.0.0",
        "mode": "fields",
        "served": None,
        "error": None,
    }


def plugin(folder: Path, source: str, entry: str = "bad", name: str = "plugin") -> dict[str, str]:
    """Install one agent whose module is `source`; the environment in which it is found."""
    site = folder / "site"
    install(site, "agents", {entry: "vagus_test_bad:Bad"}, name=name)
    (site / "vagus_test_bad.py").write_text(source)
    return {"PYTHONPATH": str(site)}


def test_a_broken_plugin_is_listed_with_its_reason(tmp_path: Path) -> None:
    site = plugin(tmp_path, "import nothing_that_is_there\n")
    shown = vagus("list", cwd=tmp_path, **site)
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    (at,) = [at for at, line in enumerate(lines) if line.startswith("bad ")]
    assert lines[at].split() == ["bad", "broken", "plugin", "1.0"]
    assert "No module named 'nothing_that_is_there'" in lines[at + 1]
    assert len([line for line in lines if line.startswith("chat@1")]) == 1


@pytest.mark.parametrize(
    "raised", ["SystemExit(0)", "GeneratorExit", "type('Stop', (KeyboardInterrupt,), {})"]
)
def test_a_plugin_that_would_end_the_command_is_a_broken_one(raised: str, tmp_path: Path) -> None:
    site = plugin(tmp_path, f"raise {raised}\n")
    shown = vagus("list", "--json", cwd=tmp_path, **site)
    assert shown.returncode == 0, shown.stderr
    errors = {each["entry"]: each["error"] for each in json.loads(shown.stdout)["agents"]}
    assert "can't be loaded" in errors.pop("bad")
    assert set(errors.values()) == {None}


def test_ctrl_c_while_a_plugin_is_imported_ends_the_command(tmp_path: Path) -> None:
    # A shell that runs in the background has its children ignore Ctrl-C.
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    source = f"import os, signal\n{heard}\nos.kill(os.getpid(), signal.SIGINT)\n"
    site = plugin(tmp_path, source)
    ended = vagus("list", cwd=tmp_path, **site)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_what_a_plugin_prints_is_no_part_of_the_answer(tmp_path: Path) -> None:
    site = plugin(tmp_path, "print('I am here')\n")
    shown = vagus("list", "--json", cwd=tmp_path, **site)
    assert "bad" in {each["entry"] for each in json.loads(shown.stdout)["agents"]}
    assert "I am here" in shown.stderr


def test_no_word_of_a_plugin_steers_the_terminal(tmp_path: Path) -> None:
    codes = {"\x1b", "\x07", "\x9b", "\u202e"}
    source = "raise RuntimeError('\x1b]0;owned\x07 \x9b31m \u202e')\n"
    site = plugin(tmp_path, source, entry="bad\x1b[2J", name="evil\x1b[31m")
    for arguments in (("list",), ("list", "--json"), ("new", "bad\x1b[2J")):
        shown = vagus(*arguments, cwd=tmp_path, **site)
        assert "\\u001b[2J" in shown.stdout + shown.stderr
        assert codes.isdisjoint(shown.stdout + shown.stderr)
        if "--json" in arguments:
            found = {each["entry"] for each in json.loads(shown.stdout)["agents"]}
            assert "bad\x1b[2J" in found


def test_nothing_that_commands_print_steers_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from vagus.daemon.cli.common import echo, emit, say

    text = "\x1b]0;owned\x07 \x9b31m \u202e\nvagus: all is well \U0001f468 \U000e0001"
    for write in (echo, emit, say):
        write(text)
        shown = "".join(capsys.readouterr())
        assert shown.removesuffix("\n").isprintable()
        if write is emit:
            assert json.loads(shown) == text


def test_an_agent_of_a_config_that_has_no_major_is_one_line(tmp_path: Path) -> None:
    chain = ChainChoice("eip155:31337", f"eip155:31337:0x{'ab' * 20}", ("http://127.0.0.1:1",))
    config = write_config(make_keys(tmp_path / "node", "devnet"), "devnet", [chain], 1)
    text = config.read_text()
    assert text.count('[agents."chat@1"]') == 1
    config.write_text(text.replace('[agents."chat@1"]', "[agents.chat]"))
    said = "agents.\"chat\": 'chat' is not name@major, in lower case"
    refused = vagus_here("agents", "list", "--config", config)
    assert refused == (2, "", f"vagus: {config}: {said}\n")


def test_a_manifest_is_printed_as_the_agent_has_it() -> None:
    from vagus.agents.builtin.number import Number

    _, out, _ = vagus_here("agents", "manifest", "number@1")
    assert json.loads(out) == Number().manifest.model_dump(mode="json")


@pytest.mark.parametrize("name", ["nope", "chat", "none@1", "../chat", "", "chat@2"])
def test_the_manifest_of_what_is_not_installed_is_one_line_with_where_to_look(name: str) -> None:
    code, out, err = vagus_here("agents", "manifest", name)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert name in line
    assert "`vagus agents list`" in line


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        (
            "Paris.\n\tYes, é \U0001f468 25\u00a0°C: 40\u202f%, \u0440\u0443, \u05d0\u05d1".encode(),
            None,
        ),
        (b"", None),
        ((100).to_bytes(32), "0x" + "00" * 31 + "64"),
        ((-1).to_bytes(32, signed=True), "0x" + "ff" * 32),
        (b"\x1b]0;owned\x07", "0x1b5d303b6f776e656407"),
        ("\u009b31m".encode(), "0xc29b33316d"),
        (b"over\rwritten", "0x6f7665720d7772697474656e"),
        *(
            (f"pay {chr(each)}bob".encode(), f"pay {json.dumps(chr(each))[1:-1]}bob")
            for each in (
                *range(0x202A, 0x202F),
                *range(0x2066, 0x206A),
                *range(0x200B, 0x2010),
                *(0xFEFF, 0xAD, 0x61C, 0x2028, 0x2029),
                *(0xE0001, 0xE0041, 0xE007F),
            )
        ),
    ],
)
def test_an_output_is_shown_as_text_only_where_it_is_some(output: bytes, shown: str | None) -> None:
    from vagus.daemon.cli.intent import readable

    assert readable("0x" + output.hex()) == (output.decode() if shown is None else shown)
