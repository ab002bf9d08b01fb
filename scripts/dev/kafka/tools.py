"""The commands that a local Kafka takes: java, mvn, openssl.

Owns: finding them, their least versions, and running one to its end. Must not know: what they are run for.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.dev.kafka.errors import CommandFailed, ToolMissing, ToolTooOld

_SECONDS: Final = 600.0
"""The longest that a command may take: a first download over a slow line."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A command, how it tells its version, and the least version that will do."""

    name: str
    version_args: tuple[str, ...]
    version: "re.Pattern[str]"
    least: tuple[int, ...]
    needed: str

    def find(self) -> str:
        """Its path: `$JAVA_HOME/bin` first, then PATH. Raises ToolMissing, ToolTooOld, CommandFailed."""
        path = shutil.which(self.name, path=_search_path())
        if path is None:
            raise ToolMissing(self.name, self.needed)
        printed = run(f"{self.name} {self.version_args[0]}", [path, *self.version_args])
        match = self.version.search(printed)
        found = match[1] if match else "unknown"
        if match is None or tuple(map(int, re.findall(r"\d+", found))) < self.least:
            raise ToolTooOld(self.name, found, self.needed)
        return path


JAVA: Final = Tool("java", ("-version",), re.compile(r'version "([\d.]+)'), (17,), "Java 17 or later")
MAVEN: Final = Tool("mvn", ("-version",), re.compile(r"Maven ([\d.]+)"), (3, 6, 3), "Maven 3.6.3 or later")
OPENSSL: Final = Tool("openssl", ("version",), re.compile(r"OpenSSL ([\d.]+)"), (3,), "OpenSSL 3 or later")


def run(what: str, command: Sequence[str], folder: Path | None = None) -> str:
    """All that the command prints. Raises CommandFailed; subprocess.TimeoutExpired after ten minutes."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise CommandFailed(what, done.returncode, done.stdout)
    return done.stdout


def _search_path() -> str:
    """PATH as it is now, `$JAVA_HOME/bin` in front: Maven itself prefers that one too."""
    path = os.environ.get("PATH", os.defpath)
    home = os.environ.get("JAVA_HOME")
    return os.pathsep.join((str(Path(home) / "bin"), path)) if home else path
