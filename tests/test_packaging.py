"""What is handed out and what it is called: one list of Pythons, one name, a wheel of the product and no more."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types

from schemas.distribution import DISTRIBUTION, running_version

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("schemas", "stream", "query_api", "scripts")
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIP: Final = (sys.executable, "-m", "pip")
CLASSIFIED: Final = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))


def in_workflow() -> list[str]:
    workflow: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    versions: list[str] = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    return versions


def in_ci_run() -> list[str]:
    listed = re.search(r"^versions=\((.*)\)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert listed
    return listed[1].split()


@pytest.mark.parametrize("versions", [in_workflow, in_ci_run])
def test_each_python_that_the_package_claims_is_tried(versions: Callable[[], list[str]]) -> None:
    assert versions() == CLASSIFIED


def test_the_first_python_that_is_claimed_is_the_first_that_may_install() -> None:
    assert PROJECT["requires-python"] == f">={CLASSIFIED[0]}"


def test_this_python_is_among_those_that_are_claimed() -> None:
    assert f"3.{sys.version_info.minor}" in CLASSIFIED


def test_the_distribution_is_known_by_one_name() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    assert running_version() == PROJECT["version"] == version("storepulse-uptime")


def test_the_command_is_storepulse() -> None:
    assert PROJECT["scripts"] == {"storepulse": "scripts.cli.main:main"}


def test_faust_finds_our_brokers_under_their_names() -> None:
    found = {entry.name: entry.value for entry in entry_points(group="faust.transports")}
    assert found == PROJECT["entry-points"]["faust.transports"]


@pytest.mark.parametrize("lock", sorted(path.name for path in ROOT.glob("requirements*.lock")))
def test_lock_files_hold_names_versions_and_hashes_and_no_address(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from a copy of what git has: building leaves its traces in the folder it builds from."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    run(
        sys.executable,
        *["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w"],
        folder,
        source,
    )
    (made,) = folder.glob("*.whl")
    return made


def run(*command: object, **variables: str) -> str:
    done = subprocess.run(
        [*map(str, command)],
        cwd="/",
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_wheel_holds_the_product_and_says_that_it_is_typed(wheel: Path) -> None:
    wanted = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "scripts/dev" not in str(path)
    }
    with ZipFile(wheel) as made:
        held = {name for name in made.namelist() if ".dist-info/" not in name}
    assert held == wanted | {f"{package}/py.typed" for package in PACKAGES}


@pytest.mark.slow
def test_the_command_of_a_wheel_runs_where_there_is_no_source(wheel: Path, tmp_path: Path) -> None:
    """`--target` puts it before all else on the path, so that nothing comes from the source beside us."""
    run(*PIP, "install", "--no-deps", "--no-index", "--target", tmp_path, wheel)
    where = run(sys.executable, "-c", "import scripts; print(scripts.__file__)", PYTHONPATH=str(tmp_path))
    assert Path(where.strip()).is_relative_to(tmp_path)
    assert "accept-loss" in run(tmp_path / "bin/storepulse", "--help", PYTHONPATH=str(tmp_path))
