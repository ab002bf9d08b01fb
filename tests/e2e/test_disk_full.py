"""A full disk: a clear message, nothing half-written, and work goes on where it stopped.

The disk is a real one: a tmpfs of a few megabytes in a mount namespace of the test's own.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from schemas.topics import POLLS
from stream.brokers.records import NewRecord
from tests.e2e.harness import sample_data
from tests.oracle import report_of_folder
from tests.scripts.state_folder import StateFolder

_UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


def _can_mount() -> bool:
    try:
        return subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


needs_namespaces = pytest.mark.skipif(not _can_mount(), reason="needs unshare with user namespaces")


def on_small_disk(disk: Path, megabytes: int, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a shell script with a disk of its own at `disk`; $STOREPULSE is the command."""
    disk.mkdir()
    return subprocess.run(
        [*_UNSHARE, "sh", "-c", f"mount -t tmpfs -o size={megabytes}m tmpfs '{disk}' && {script}"],
        env={
            "PATH": "/usr/bin:/bin",
            "STOREPULSE": f"{sys.executable} -m scripts.cli",
            "HOME": str(disk.parent),
        },
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@needs_namespaces
def test_a_state_folder_that_fills_up_ends_the_report_with_a_message(tmp_path: Path) -> None:
    data, disk = sample_data(tmp_path / "data", stores=2000), tmp_path / "disk"
    ran = on_small_disk(
        disk, 3, f"$STOREPULSE report --data '{data}' --out '{tmp_path}/r.csv' --state '{disk}/state'"
    )
    assert ran.returncode == 4
    assert "No room left on the disk" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "r.csv").exists()


@needs_namespaces
def test_an_output_folder_that_is_full_is_left_without_a_half_report(tmp_path: Path) -> None:
    data, disk = sample_data(tmp_path / "data", stores=50), tmp_path / "disk"
    script = (
        f"head -c 2000000 /dev/zero > '{disk}/ballast'; "
        f"$STOREPULSE report --data '{data}' --out '{disk}/r.csv'; code=$?; ls -A '{disk}'; exit $code"
    )
    ran = on_small_disk(disk, 1, script)
    assert ran.returncode == 4
    assert "no space left on the disk" in ran.stderr
    assert ran.stdout.split() == ["ballast"]


@needs_namespaces
@pytest.mark.parametrize("size", [800, 1_040])
def test_a_disk_that_fills_up_under_the_rejects_is_left_without_half_of_them(
    tmp_path: Path, size: int
) -> None:
    """In the middle of them, and with the last of them."""
    data, disk = sample_data(tmp_path / "data", stores=5), tmp_path / "disk"
    with (data / "timezones.csv").open("a") as file:
        file.writelines(f"17,Mars/{nth:01000d}\n" for nth in range(3000))
    script = (
        f"echo of an earlier run > '{disk}/rejects.csv'; head -c {size}000 /dev/zero > '{disk}/ballast'; "
        f"$STOREPULSE report --data '{data}' --out '{tmp_path}/r.csv' --rejects '{disk}/rejects.csv'; code=$?; "
        f"ls -A '{disk}'; cat '{disk}/rejects.csv'; exit $code"
    )
    ran = on_small_disk(disk, 1, script)
    assert ran.returncode == 4
    assert f"no space left on the disk ({disk}/rejects.csv)" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout.split("\n")[:3] == ["ballast", "rejects.csv", "of an earlier run"]


@needs_namespaces
def test_a_sample_for_which_there_is_no_room_leaves_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    ran = on_small_disk(
        disk, 1, f"$STOREPULSE sample '{disk}' --stores 1000; code=$?; ls -A '{disk}'; exit $code"
    )
    assert ran.returncode == 4, ran.stderr
    assert "no space left on the disk" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


@needs_namespaces
def test_after_room_was_made_the_same_state_gives_the_exact_report(tmp_path: Path) -> None:
    data, disk = sample_data(tmp_path / "data", stores=300), tmp_path / "disk"
    report = f"$STOREPULSE report --data '{data}' --out '{tmp_path}/r.csv' --state '{disk}/state'"
    script = (
        f"head -c 24000000 /dev/zero > '{disk}/ballast'; {report}; echo first $?; "
        f"rm '{disk}/ballast'; {report}; echo second $?"
    )
    ran = on_small_disk(disk, 24, script)
    assert "first 4" in ran.stdout or "first 5" in ran.stdout, ran.stderr
    assert "second 0" in ran.stdout, ran.stderr
    assert (tmp_path / "r.csv").read_text() == report_of_folder(data)


@needs_namespaces
@pytest.mark.parametrize("ballast", [8_350_000, 0], ids=["the tables do not fit", "the log does not fit"])
def test_a_backup_that_does_not_fit_ends_with_a_message_and_leaves_nothing(
    ballast: int, tmp_path: Path
) -> None:
    folder, disk = StateFolder(tmp_path / "state"), tmp_path / "disk"
    folder.log.append([NewRecord(POLLS, 0, b"s1", bytes(1_000_000), 0) for _ in range(12)])
    folder.close()
    script = (
        f"head -c {ballast} /dev/zero > '{disk}/ballast'; "
        f"$STOREPULSE backup '{disk}/copy' --state '{tmp_path}/state'; code=$?; ls -A '{disk}'; exit $code"
    )
    ran = on_small_disk(disk, 8, script)
    assert ran.returncode == 4
    assert f"no space left on the disk for the backup {disk}/copy, and nothing of it was kept" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout.split() == ["ballast"]
