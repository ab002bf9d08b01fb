"""Files as commands leave them: reports whole or not there, inputs and other people's files as they were."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.e2e.harness import kill, processes_of, running, sample_data, storepulse, until
from tests.oracle import report_of_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_data(tmp_path_factory.mktemp("data"), stores=20)


@pytest.fixture(scope="module")
def expected(data: Path) -> str:
    return report_of_folder(data)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder of inputs that a test may lose."""
    return sample_data(tmp_path / "inputs", stores=5)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_minus_is_standard_output_with_nothing_but_the_report(data: Path, expected: str, here: Path) -> None:
    for name in ("-", "/dev/stdout"):
        ran = storepulse("report", "--data", data, "--out", name)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout == expected
        assert "20 stores" in ran.stderr
    assert not list(here.iterdir())


def test_a_report_is_added_to_a_file_that_standard_output_leads_to(
    data: Path, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "all.csv").write_text("before\n")
    command = [
        sys.executable,
        "-m",
        "scripts.cli",
        "report",
        "--data",
        str(data),
        "--out",
        "/dev/stdout",
    ]
    with (tmp_path / "all.csv").open("a") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.PIPE, timeout=120, check=True)
    assert (tmp_path / "all.csv").read_text() == "before\n" + expected


def test_a_fifo_gets_the_report_and_stays_one(data: Path, expected: str, tmp_path: Path) -> None:
    fifo, got = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: got.append(fifo.read_text()), daemon=True)
    reader.start()
    ran = storepulse("report", "--data", data, "--out", fifo)
    assert ran.returncode == 0, ran.stderr
    reader.join(10)
    assert got == [expected]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_reader_that_leaves_early_is_said_in_a_sentence(data: Path) -> None:
    command = [sys.executable, "-m", "scripts.cli", "report", "--data", str(data), "--out", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 4
    assert "standard output was closed before all was written to it" in said
    assert "Traceback" not in said


def test_a_link_stays_and_leads_to_the_new_report(data: Path, expected: str, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "r.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("far/r.csv")
    ran = storepulse("report", "--data", data, "--out", tmp_path / "link.csv")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "link.csv").is_symlink()
    assert bytes_in(tmp_path / "far") == {"r.csv": expected.encode()}


@pytest.mark.parametrize("option", ["--out", "--rejects"])
@pytest.mark.parametrize("way", ["path", "soft", "hard"])
def test_no_input_is_overwritten(option: str, way: str, inputs: Path, tmp_path: Path) -> None:
    before, name = bytes_in(inputs), tmp_path / "output"
    match way:
        case "path":
            name = inputs / "timezones.csv"
        case "soft":
            name.symlink_to(inputs / "timezones.csv")
        case "hard":
            name.hardlink_to(inputs / "timezones.csv")
    options = {"--out": tmp_path / "r.csv", option: name}
    words = [word for pair in options.items() for word in pair]
    ran = storepulse("report", "--data", inputs, *words, "--state", tmp_path / "state")
    assert ran.returncode == 2, ran.stderr
    assert "no input is ever overwritten" in ran.stderr
    assert bytes_in(inputs) == before
    assert not (tmp_path / "r.csv").exists()
    assert not (tmp_path / "state").exists(), "nothing was begun"


def test_rejects_of_a_replay_overwrite_no_input(inputs: Path, tmp_path: Path) -> None:
    before = bytes_in(inputs)
    ran = storepulse("replay", inputs, "--rejects", inputs / "store_status.csv", state=tmp_path / "state")
    assert ran.returncode == 2
    assert "no input is ever overwritten" in ran.stderr
    assert bytes_in(inputs) == before
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("out", "rejects", "said"),
    [
        ("nowhere/r.csv", "rejects.csv", "there is no folder"),
        (".", "rejects.csv", "it is a folder"),
        ("r.csv", "nowhere/rejects.csv", "there is no folder"),
        ("r.csv", "./r.csv", "--out and --rejects are one file"),
    ],
)
def test_an_output_that_cannot_be_is_said_before_anything_is_sent(
    out: str, rejects: str, said: str, data: Path, here: Path
) -> None:
    ran = storepulse("report", "--data", data, "--out", out, "--rejects", rejects, "--state", "state")
    assert ran.returncode == 2
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not list(here.iterdir())


def test_a_report_does_not_replace_the_log_of_its_state(data: Path, here: Path) -> None:
    assert storepulse("report", "--data", data, "--out", "r.csv", "--state", "state").returncode == 0
    ran = storepulse("report", "--data", data, "--out", "state/log.db", "--state", "state")
    assert ran.returncode == 2
    assert (here / "state" / "log.db").read_bytes().startswith(b"SQLite format 3")


def test_rejects_go_where_they_are_sent(inputs: Path, tmp_path: Path) -> None:
    with (inputs / "timezones.csv").open("a") as file:
        file.write("17,Mars/Olympus\n")
    ran = storepulse("report", "--data", inputs, "--out", tmp_path / "r.csv", "--rejects", "-")
    assert ran.returncode == 0, ran.stderr
    head, line = ran.stdout.splitlines()
    assert head == "file,line,reason,text"
    assert line.endswith('unknown zone,"17,Mars/Olympus"')


def test_a_link_in_place_of_the_rejects_of_up_is_refused_and_not_followed(data: Path, tmp_path: Path) -> None:
    state, foreign = tmp_path / "state", tmp_path / "foreign"
    state.mkdir()
    foreign.write_text("not ours")
    (state / "rejects.csv").symlink_to(foreign)
    ran = storepulse("up", "--data", data, "--port", 0, state=state, seconds=60)
    assert ran.returncode == 4
    assert "rejects.csv is a symbolic link and no file of storepulse's own" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert foreign.read_text() == "not ours"
    assert bytes_in(state) == {"rejects.csv": b"not ours"}, "nothing was begun"


def test_a_replay_of_up_that_is_cut_off_leaves_no_half_rejects(tmp_path: Path) -> None:
    data, state = tmp_path / "data", tmp_path / "state"
    data.mkdir()
    os.mkfifo(data / "store_status.csv")  # whoever reads it waits

    def unfinished() -> list[Path]:
        return list(state.glob(".rejects.csv.*"))

    with running("up", "--data", data, "--port", 0, state=state) as up:
        until("the replay has begun", lambda: bool(unfinished()))
        kill(up)
    until("worker and API are gone too", lambda: not processes_of(state), 20)
    (left,) = unfinished()
    with running("up", "--data", data, "--port", 0, state=state) as up:
        until("the replay has begun again", lambda: bool(unfinished()) and left not in unfinished())
        up.terminate()
        assert up.wait(20) == 0
    assert not unfinished()
    assert not (state / "rejects.csv").exists()


def test_a_link_in_place_of_the_worker_s_files_is_refused_and_not_followed(
    data: Path, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text("not ours")
    for name in ("worker.log", "worker.lock"):
        state = tmp_path / name
        state.mkdir()
        (state / name).symlink_to(foreign)
        ran = storepulse("report", "--data", data, "--out", tmp_path / "r.csv", "--state", state)
        assert ran.returncode in {4, 5}
        assert f"{name} is a symbolic link and no file of storepulse's own" in ran.stderr
        assert "Traceback" not in ran.stderr
    assert foreign.read_text() == "not ours"


def test_sample_replaces_nothing_unless_told_to(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert storepulse("sample", folder, "--stores", 5).returncode == 0
    for name in ("store_status.csv", "menu_hours.csv"):
        (folder / name).unlink()
    before = bytes_in(folder)
    refused = storepulse("sample", folder, "--stores", 6)
    assert refused.returncode == 4
    assert "timezones.csv is there already" in refused.stderr
    assert "--force" in refused.stderr
    assert bytes_in(folder) == before
    assert storepulse("sample", folder, "--stores", 6, "--force").returncode == 0
    assert len(bytes_in(folder)) == 3
    assert bytes_in(folder)["timezones.csv"] != before["timezones.csv"]
