"""`flask scheduler run --http`."""

from __future__ import annotations

import socket
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask

from scheduler_app.cli.probes import Address, probes
from scheduler_app.client import Health
from tests.unit.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("_signals_as_before")

WELL, ILL = Health(True), Health(False, "the disk of /srv is full")


def asked(port: int, path: str, method: str = "GET") -> tuple[int, str, str | None]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), answer.getheader("Server")
    connection.close()
    return found


def address_in(text: str) -> Any:
    return urlsplit(text.split(" at ")[1].rstrip(".\n"))


def test_the_probes_answer_as_the_admin_does_and_say_nothing_else(
    app: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    health = [WELL]
    with probes(("127.0.0.1", 0), lambda: health[0]):
        place = address_in(capsys.readouterr().err)
        with app.test_client() as web:
            for check in ("livez", "readyz"):
                there = web.get(f"/scheduler/{check}")
                assert asked(place.port, f"/{check}") == (there.status_code, there.text, "scheduler-app")
        health[0] = ILL
        assert asked(place.port, "/readyz?verbose") == (503, '{"status": "unavailable"}\n', "scheduler-app")
        assert asked(place.port, "/livez")[0] == 200
        assert asked(place.port, "/readyz", "HEAD")[:2] == (503, "")
        assert asked(place.port, "/")[0] == 404
        assert asked(place.port, "/livez", "POST")[0] == 501
    with pytest.raises(ConnectionRefusedError):
        asked(place.port, "/livez")
    assert capsys.readouterr().err == ""


def test_without_an_address_nothing_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with probes(None, lambda: WELL):
        pass
    assert capsys.readouterr().err == ""


def test_a_worker_listens_before_it_runs_and_not_afterwards(flask_scheduler: Run) -> None:
    done = flask_scheduler("run", "--once", "--http", "127.0.0.1:0")
    listening, running, _ = done.stderr.splitlines()
    assert done.exit_code == 0
    assert listening.startswith("Answering /livez and /readyz at http://127.0.0.1:")
    assert running.startswith("Running jobs")
    with pytest.raises(ConnectionRefusedError):
        asked(address_in(listening).port, "/livez")


def test_an_address_that_cannot_be_had_is_one_sentence(flask_scheduler: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        cases = {
            where: (1, f"Error: Cannot listen at {where} for --http: Address already in use. Name another address"),
            "192.0.2.1:9191": (1, "Error: Cannot listen at 192.0.2.1:9191 for --http: "),
            "9191": (2, "Error: Invalid value for '--http': '9191' is no address such as ':9191'"),
            ":99999": (2, "':99999' is no address"),
            ":-1": (2, "':-1' is no address"),
            ":http": (2, "':http' is no address"),
        }
        for address, (code, sentence) in cases.items():
            done = flask_scheduler("run", "--once", "--http", address)
            assert (done.exit_code, done.stdout) == (code, "")
            assert sentence in done.stderr
            assert "Running jobs" not in done.stderr


def test_addresses_are_read_as_people_write_them() -> None:
    read = {":9191": ("", 9191), "localhost:80": ("localhost", 80), "[::1]:0": ("::1", 0)}
    assert {text: Address().convert(text, None, None) for text in read} == read
