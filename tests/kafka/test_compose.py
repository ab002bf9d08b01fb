"""Facts about docker-compose.yml and Dockerfile that need no container."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import yaml  # type: ignore[import-untyped]  # it has no types

from schemas.settings import Settings
from scripts.cli.main import app

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
OURS: Final = sorted(name for name, service in SERVICES.items() if service["image"] == "storepulse")
STATE: Final = "/var/lib/storepulse"


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_a_command_that_exists(name: str) -> None:
    commands: dict[str, Any] = getattr(typer.main.get_command(app), "commands", {})
    assert SERVICES[name]["command"][0] in commands


@pytest.mark.parametrize("name", OURS)
def test_a_service_sets_only_settings_that_exist(name: str) -> None:
    known = {f"STOREPULSE_{field.upper()}" for field in Settings.model_fields}
    assert set(SERVICES[name]["environment"]) <= known


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_a_service_waits_for_and_stores_in_is_there(name: str) -> None:
    service = SERVICES[name]
    volumes = [volume.split(":")[0] for volume in service.get("volumes", ()) if ":" in volume]
    assert set(service.get("depends_on", ())) <= set(SERVICES)
    assert {each for each in volumes if not each.startswith(("/", "."))} - {"${STOREPULSE_DATA"} <= set(
        COMPOSE["volumes"]
    )


def test_every_worker_has_a_state_folder_of_its_own_and_the_api_has_the_replicas() -> None:
    assert SERVICES["worker"]["volumes"] == [STATE], "a volume without a name: one a container"
    assert SERVICES["api"]["volumes"] == SERVICES["replica"]["volumes"] == [f"tables:{STATE}"]


def test_containers_have_the_kafka_that_tests_run_against() -> None:
    pom = (ROOT / "scripts" / "dev" / "kafka" / "pom.xml").read_text()
    tested = re.search(r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>([\d.]+)</version>", pom)
    assert tested is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{tested[1]}"


def test_the_image_is_given_all_that_it_copies() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    }
    given = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == given
    assert all((ROOT / source).exists() for source in copied)
    assert f"STOREPULSE_STATE={STATE}" in dockerfile
