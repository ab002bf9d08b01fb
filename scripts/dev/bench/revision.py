"""A revision of storepulse: a work tree with a `.venv` of its own.

Owns: how a program of it is called, and what it is called by. Must not know: what is measured.

Its programs run in its own folder and with its own interpreter, so that no module of one revision is ever imported
by the other; `report` too starts its worker from the folder that it stands in.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Revision:
    """`root` is the work tree, `python` the interpreter that has its packages."""

    root: Path
    python: Path

    def command(self, module: str, *args: object) -> list[str]:
        """Runs one of its programs; to be started in `root`.

        Revisions before 0.2 have those of development one folder higher.
        """
        if not (self.root / "scripts" / "dev").exists():
            module = module.replace("scripts.dev.", "scripts.")
        return [str(self.python), "-m", module, *map(str, args)]

    @property
    def name(self) -> str:
        """What git calls it, `-dirty` where files differ; without git, the folder's name."""
        git = ["git", "-C", str(self.root), "describe", "--always", "--dirty", "--exclude=*"]
        described = subprocess.run(git, capture_output=True, text=True, check=False)
        return described.stdout.strip() or self.root.name


OURS: Final = Revision(Path(__file__).parents[3], Path(sys.executable))


def revision_in(folder: Path) -> Revision:
    """The revision whose work tree that is. Raises FileNotFoundError where it is not set up."""
    root = folder.absolute()
    python = root / ".venv" / "bin" / "python"
    if not (root / ".venv" / "runs").exists():
        raise FileNotFoundError(f"{root} is not set up: run `make .venv/runs` there")
    return Revision(root, python)
