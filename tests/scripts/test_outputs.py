"""Where a command writes: what a name means, and what is refused before anything is done."""

import os
import stat
import threading
from pathlib import Path

import pytest

from scripts.cli.outputs import InputOverwritten, OneFileTwice, Output, UnusableOutput, output, outputs


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "timezones.csv").write_text("zones")
    return folder


def write(place: Output, text: str = "new") -> None:
    with place.path() as path:
        path.write_text(text)


def test_a_name_that_nothing_has_is_a_file(tmp_path: Path) -> None:
    place = output("--out", str(tmp_path / "r.csv"))
    with place.path() as path:
        assert path == tmp_path / "r.csv"


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "r.csv").write_text("old")
    (tmp_path / "second").symlink_to(tmp_path / "far" / "r.csv")
    (tmp_path / "first").symlink_to("second")
    with output("--out", str(tmp_path / "first")).path() as path:
        assert path == tmp_path / "far" / "r.csv", "what is unfinished stands beside the file itself"
        path.write_text("new")
    assert (tmp_path / "first").is_symlink()
    assert (tmp_path / "second").is_symlink()
    assert (tmp_path / "first").read_text() == "new"


def test_a_link_to_nothing_yet_gets_its_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "r.csv")
    write(output("--out", str(tmp_path / "link")))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "r.csv").read_text() == "new"


def test_a_device_is_written_to_and_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    for name in ("/dev/null", str(tmp_path / "link")):
        write(output("--out", name))
        assert stat.S_ISCHR(Path(name).stat().st_mode)


def test_a_fifo_gets_all_of_it_and_stays_one(tmp_path: Path) -> None:
    fifo, got = tmp_path / "fifo", []
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: got.append(fifo.read_text()))
    reader.start()
    write(output("--out", str(fifo)), "all of it\n" * 100_000)
    reader.join(10)
    assert got == ["all of it\n" * 100_000]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_standard_output_has_several_names_and_is_not_begun_again(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Opened by its path, a file would be written from its start."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    names = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", str(tmp_path / "link"))
    for name in names:
        write(output("--out", name), f"by {name}\n")
    assert capfd.readouterr().out == "".join(f"by {name}\n" for name in names)


def test_a_file_may_be_called_minus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(output("--out", "./-"))
    assert (tmp_path / "-").read_text() == "new"


def test_what_is_no_regular_file_gets_nothing_of_a_report_that_failed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ZeroDivisionError), output("--out", "-").path():
        raise ZeroDivisionError
    assert capfd.readouterr().out == ""


def test_a_descriptor_that_cannot_be_written_is_refused() -> None:
    reading, writing = os.pipe()
    with pytest.raises(UnusableOutput, match="not open for writing"):
        output("--out", f"/dev/fd/{reading}")
    os.close(reading)
    os.close(writing)
    for gone in (f"/dev/fd/{writing}", f"/proc/self/fd/{writing}"):
        with pytest.raises(UnusableOutput, match="Bad file descriptor"):
            output("--out", gone)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".", "it is a folder"),
        ("data", "it is a folder"),
        ("nowhere/r.csv", "there is no folder"),
        ("data/timezones.csv/r.csv", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("x" * 256, "File name too long"),
    ],
)
def test_a_name_that_can_take_no_file_is_refused(
    name: str, said: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data.parent)
    Path("loop").symlink_to("loop")
    with pytest.raises(UnusableOutput, match=said) as refused:
        output("--out", name)
    assert (refused.value.option, refused.value.name) == ("--out", name)


def test_an_input_is_refused_by_whatever_name(data: Path, tmp_path: Path) -> None:
    zones = data / "timezones.csv"
    (tmp_path / "soft").symlink_to(zones)
    (tmp_path / "hard").hardlink_to(zones)
    (tmp_path / "folder").symlink_to(data)
    for name in (
        zones,
        tmp_path / "soft",
        tmp_path / "hard",
        tmp_path / "folder" / "timezones.csv",
        data / ".." / "data" / "timezones.csv",
    ):
        with pytest.raises(InputOverwritten, match="no input is ever overwritten") as refused:
            outputs({"--out": str(name)}, [zones])
        assert refused.value.read == zones
    assert zones.read_text() == "zones"


def test_an_input_behind_a_descriptor_is_refused(data: Path) -> None:
    with (data / "timezones.csv").open("ab") as file, pytest.raises(InputOverwritten):
        outputs({"--out": f"/dev/fd/{file.fileno()}"}, [data / "timezones.csv"])


def test_a_name_that_would_be_read_the_next_time_is_refused(data: Path) -> None:
    hours = data / "menu_hours.csv"
    with pytest.raises(InputOverwritten):
        outputs({"--rejects": str(data.parent / "data" / "menu_hours.csv")}, [hours])


def test_two_outputs_are_two_files(data: Path, tmp_path: Path) -> None:
    (tmp_path / "r.csv").touch()
    (tmp_path / "hard").hardlink_to(tmp_path / "r.csv")
    (tmp_path / "soft").symlink_to(tmp_path / "new")
    for out, rejects in (("r.csv", "r.csv"), ("hard", "r.csv"), ("new", "soft"), ("new", "data/../new")):
        with pytest.raises(OneFileTwice, match="--out and --rejects are one file"):
            outputs({"--out": str(tmp_path / out), "--rejects": str(tmp_path / rejects)}, [])
    with pytest.raises(OneFileTwice):
        outputs({"--out": "-", "--rejects": "/dev/stdout"}, [])
    two = outputs({"--out": str(tmp_path / "r.csv"), "--rejects": str(tmp_path / "new")}, [data / "x"])
    assert list(two) == ["--out", "--rejects"]


def test_an_option_without_a_name_is_no_output(tmp_path: Path) -> None:
    assert list(outputs({"--out": str(tmp_path / "r.csv"), "--rejects": None}, [])) == ["--out"]
