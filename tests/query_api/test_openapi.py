"""The description is complete, and every answer keeps to it."""

import subprocess
import sys
from typing import Any

import pytest

from query_api.app import create_app
from query_api.snapshots.reader import Reader
from schemas.settings import Settings
from tests.query_api.service import NOW_US, FakeProbe

CALLS = {
    ("post", "/trigger_report"),
    ("post", "/api/v1/trigger_report"),
    ("get", "/get_report/{report_id}"),
    ("get", "/api/v1/get_report"),
    ("get", "/api/v1/debug/max_timestamp"),
    ("get", "/api/v1/debug/status_counts"),
    ("get", "/api/v1/debug/stores_with_downtime"),
    ("get", "/api/v1/debug/store/{store_id}"),
    ("get", "/health"),
    ("get", "/api/v1/health"),
    ("get", "/health/live"),
    ("get", "/metrics"),
}


@pytest.fixture
def description(settings: Settings, reader: Reader) -> dict[str, Any]:
    return create_app(settings, reader, FakeProbe(), lambda: NOW_US).openapi()


def test_every_call_is_described_and_tagged(description: dict[str, Any]) -> None:
    described = {
        (method, path): call for path, calls in description["paths"].items() for method, call in calls.items()
    }
    assert described.keys() == CALLS
    for call in described.values():
        assert call["tags"]
        assert call["description"]


def test_every_field_and_parameter_is_described(description: dict[str, Any]) -> None:
    for name, schema in description["components"]["schemas"].items():
        assert schema.get("description"), name
        for field, of_field in schema["properties"].items():
            assert of_field.get("description"), f"{name}.{field}"
    for calls in description["paths"].values():
        for call in calls.values():
            assert all(parameter["description"] for parameter in call.get("parameters", []))


def test_every_error_is_described_as_a_problem_document(description: dict[str, Any]) -> None:
    for path, calls in description["paths"].items():
        for call in calls.values():
            errors = {status: each for status, each in call["responses"].items() if status >= "400"}
            assert "500" in errors
            for status, error in errors.items():
                expected = "application/json" if "health" in path and status == "503" else None
                assert list(error["content"]) == [expected or "application/problem+json"], (path, status)


def test_the_api_never_imports_faust() -> None:
    code = "import sys, query_api.app; sys.exit('faust' in sys.modules or 'stream.worker.app' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
