"""What the commands for authors of plugins share: writing a new distribution, and running its tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from vagus.daemon.cli.common import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FolderArgument", "NewFolderArgument", "run_kit", "write"]

NewFolderArgument = Annotated[
    Path | None, typer.Argument(help="Where to write it; a folder of that name if absent.")
]
FolderArgument = Annotated[Path, typer.Argument(help="The distribution's folder.")]


def write(
    new: Callable[[str, Path], list[Path]], name: str, folder: Path | None, then: str
) -> None:
    """Write a new plugin's distribution and say what was written, and the command to go on with.

    `then` is what is said before the folder's name. Raises ConfigError for what `new` refuses.
    """
    from vagus.daemon.config import ConfigError

    target = Path(name) if folder is None else folder
    try:
        written = new(name, target)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    for path in written:
        say(f"wrote {target / path}")
    say(f"{then} {target}")


def run_kit(
    folder: Path,
    kind: str,
    plugin: str,
    *settings: str,
    how: str = "",
    extras: Mapping[str, str] | None = None,
    prepare: Callable[[], object] = lambda: None,
) -> NoReturn:
    """Run the tests of a folder's plugins ("agents"), say how they ended, and leave with 0 or 1.

    `plugin` is pytest's, with the kit that must be among the tests; `extras` are modules it needs
    besides pytest, with the extra of vagus that has each; `prepare` runs before any test; `how` ends
    the line that announces them. Raises ConfigError where nothing can be tested.
    """
    from vagus.daemon.scaffold import kit

    names = ", ".join(kit.named_in(folder, kind))
    kit.require({**kit.NEEDED, **(extras or {})})
    prepare()
    say(f"Testing {names}{how}")
    passed = kit.run_tests(folder, plugin, *settings)
    say(f"{names}: passed" if passed else f"{names}: FAILED, see above")
    raise typer.Exit(0 if passed else 1)
