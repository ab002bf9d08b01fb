"""Kafka's own jars and what they need, fetched once.

Owns: the folder `.kafka/libs`, and that it holds what pom.xml names, whole or not at all. Must not know: how a
broker is run.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from scripts.dev.kafka.tools import JAVA, MAVEN, run

HOME: Final = Path(__file__).parents[3] / ".kafka"
"""Git ignores it."""
LIBS: Final = HOME / "libs"
_POM: Final = Path(__file__).with_name("pom.xml")


def fetched(libs: Path = LIBS) -> bool:
    """Whether `libs` holds what pom.xml names now: a copy of the pom stands beside the jars it led to."""
    copy = libs / _POM.name
    return copy.is_file() and copy.read_bytes() == _POM.read_bytes()


def fetch(libs: Path = LIBS) -> Path:
    """`libs`, filled if need be (44 MB); who comes second waits for the first.

    Raises ToolMissing, ToolTooOld, and CommandFailed where Maven cannot reach its repository.
    """
    if fetched(libs):
        return libs
    JAVA.find()
    maven = MAVEN.find()
    libs.parent.mkdir(parents=True, exist_ok=True)
    with _alone(libs.with_suffix(".lock")):
        if not fetched(libs):
            _fetch_with(maven, libs)
    return libs


def _fetch_with(maven: str, libs: Path) -> None:
    with tempfile.TemporaryDirectory(dir=libs.parent, prefix="fetching-") as folder:
        new = Path(folder) / libs.name
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={new}"]
        run("mvn dependency:copy-dependencies", [maven, "-q", "-B", "-f", str(_POM), *goal])
        shutil.copyfile(_POM, new / _POM.name)
        if libs.exists():
            libs.replace(Path(folder) / "old")
        new.replace(libs)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
