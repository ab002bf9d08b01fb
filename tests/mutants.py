"""Mutants: small faults, each put into a copy of the product, and the test that must fall there.

    python -m tests.mutants [TEXT…]     all of them, or those that have one of these texts in their name or file

Owns: applying them, running the tests, the table that is printed. Must not know: which mutants there are
(tests.mutant_table). The work tree is never changed: tests run in a temporary copy of it.

    copy ── all named tests pass? ──▶ mutate one file ── its test falls? ──▶ put the file back ──▶ the next one
"""

import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from tests.mutant_table import MUTANTS, Mutant

ROOT: Final = Path(__file__).parents[1]
_COPIED: Final = ("schemas", "stream", "query_api", "scripts", "tests")
_AT_ONCE: Final = 2
_TEST_SECONDS: Final = 15
"""Some mutants make a test wait for ever; all others end in a second or two."""
_RUN_SECONDS: Final = 300
_NOT_FOR_COPIES: Final = ("PYTHONPATH", "PYTEST_", "COVERAGE_")
"""How variables begin that would have other source read, other tests run, or mutants measured."""
_ALL_PASSED, _SOME_FELL = 0, 1
"""Exit codes of pytest. With any other one, nothing was tested."""


class Verdict(Enum):
    """What became of a mutant. All but the first one are faults, of a test or of the table."""

    FELL = "falls"
    SURVIVES = "SURVIVES"
    TEXT_NOT_FOUND = "TEXT NOT FOUND"
    FALLS_ANYWAY = "FALLS WITHOUT IT TOO"
    NOT_TESTED = "NOT TESTED"


@dataclass(frozen=True)
class Outcome:
    """A mutant, what became of it, and the test that fell or what pytest said."""

    mutant: Mutant
    verdict: Verdict
    said: str

    def __str__(self) -> str:
        return f"{self.mutant.name:<76} {self.verdict.value}: {self.said}"


@dataclass(frozen=True)
class Run:
    """A run of pytest: its exit code, the tests that fell, the end of what it printed."""

    code: int
    fallen: tuple[str, ...]
    end: str


def is_applicable(mutant: Mutant) -> bool:
    """Whether the text that it replaces stands in its file once and only once."""
    return (ROOT / mutant.file).read_text().count(mutant.before) == 1


def judged(mutants: Sequence[Mutant]) -> Iterator[Outcome]:
    """What becomes of each mutant, in their order."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        first, *others = (Path(folder) / str(number) for number in range(_AT_ONCE))
        _copy_to(first)
        fallen = _fallen_without_mutants(mutants, first)
        copies: SimpleQueue[Path] = SimpleQueue()
        copies.put(first)
        for other in others:
            copies.put(shutil.copytree(first, other))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            yield from pool.map(lambda mutant: _judge(mutant, copies, fallen), mutants)


def _copy_to(folder: Path) -> None:
    """A copy of the source, compiled: no run of a mutant leaves any compiled file behind."""
    for name in _COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "pyproject.toml", folder)
    compileall.compile_dir(folder, quiet=1)


def _fallen_without_mutants(mutants: Iterable[Mutant], folder: Path) -> tuple[str, ...]:
    """Those of the named tests that fall as things are."""
    run = _run(sorted({mutant.test for mutant in mutants}), folder, "--maxfail=100")
    if run.code not in (_ALL_PASSED, _SOME_FELL):
        raise SystemExit(f"the tests cannot be run: {run.end}")
    return run.fallen


def _judge(mutant: Mutant, copies: "SimpleQueue[Path]", fallen: Sequence[str]) -> Outcome:
    if not is_applicable(mutant):
        return Outcome(mutant, Verdict.TEXT_NOT_FOUND, f"once in {mutant.file}: {mutant.before!r}")
    if any(f"{each}[".startswith((f"{mutant.test}[", f"{mutant.test}::")) for each in fallen):
        return Outcome(mutant, Verdict.FALLS_ANYWAY, mutant.test)
    folder = copies.get()
    try:
        run = _run_mutated(mutant, folder)
    finally:
        copies.put(folder)
    if run.code == _SOME_FELL:
        return Outcome(mutant, Verdict.FELL, run.fallen[0] if run.fallen else run.end)
    if run.code == _ALL_PASSED:
        return Outcome(mutant, Verdict.SURVIVES, mutant.test)
    return Outcome(mutant, Verdict.NOT_TESTED, run.end)


def _run_mutated(mutant: Mutant, folder: Path) -> Run:
    path = folder / mutant.file
    text, times = path.read_text(), path.stat()
    path.write_text(text.replace(mutant.before, mutant.after))
    # Else what was compiled from text of the same second and size would be taken for this one.
    os.utime(path, (times.st_atime, times.st_mtime + 10))
    try:
        return _run([mutant.test], folder, "-x")
    finally:
        path.write_text(text)
        os.utime(path, (times.st_atime, times.st_mtime))


def _run(tests: Sequence[str], folder: Path, *options: str) -> Run:
    """Run tests in a copy: its packages come first, because it is the current folder."""
    fixed = ("-q", "-rfE", "--tb=line", "--durations=0", "-p", "no:cacheprovider", "--hypothesis-seed=0")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_FOR_COPIES)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *fixed, "-o", f"timeout={_TEST_SECONDS}", *options, *tests],
        cwd=folder,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=_RUN_SECONDS,
        check=False,
    )
    fallen = re.findall(r"^(?:FAILED|ERROR) (\S+::.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return Run(done.returncode, tuple(fallen), " ".join((done.stdout + done.stderr).split()[-40:]))


def main(texts: Sequence[str]) -> int:
    """Print what becomes of the mutants that are meant; 1 where one of them does not fall."""
    meant = [each for each in MUTANTS if not texts or any(text in each.name + each.file for text in texts)]
    alive = 0
    for outcome in judged(meant):
        print(outcome, flush=True)
        alive += outcome.verdict is not Verdict.FELL
    print(f"{len(meant) - alive} of {len(meant)} mutants fall")
    return int(alive > 0 or not meant)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
