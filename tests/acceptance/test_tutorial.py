"""The tutorial's app: its own suite passes as it stands, and behind real servers its mail goes by real SMTP."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller

from tests.acceptance.processes import environment, free_port, running, until

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(TUTORIAL, tmp_path / "tutorial")


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.mails.append(email.message_from_bytes(envelope.content))
        return "250 OK"


@pytest.fixture
def mail_server() -> Iterator[Controller]:
    controller = Controller(Mailbox(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield controller
    controller.stop()


def test_its_suite_passes(folder: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "tests"],
        cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    count = (TUTORIAL / "tests" / "test_signup.py").read_text().count("\ndef test_")
    assert f"{count} passed" in done.stdout


SERVERS = {
    "flask": ("-m", "flask", "--app", "signup", "run", "--port", "PORT"),
    "gunicorn": ("-m", "gunicorn", "-w", "2", "-b", "127.0.0.1:PORT", "signup:create_app()"),
}


@pytest.mark.parametrize("server", SERVERS)
def test_who_signs_up_is_mailed_after_the_response_and_cancels_the_reminder(
    server: str, folder: Path, mail_server: Controller
) -> None:
    settings = {"FLASK_MAIL_PORT": str(mail_server.port), "FLASK_SECRET_KEY": "the secret of a test"}
    mails = mail_server.handler.mails
    site = running(*SERVERS[server], folder=folder, env=environment(folder, **settings))
    with site as process, httpx.Client(base_url=f"http://127.0.0.1:{process.port}", timeout=20) as web:
        until(lambda: _answers(web), "the app answers")
        answer = web.post("/sign-up", data={"email": "ada@example.com", "password": "secret"})
        assert answer.status_code == 302
        until(lambda: mails, "the mail comes")
        assert [(mail["To"], mail["Subject"]) for mail in mails] == [("ada@example.com", "Welcome")]
        assert web.post("/sign-up", data={"email": "ada@example.com", "password": "secret"}).status_code == 409
        assert web.post("/reminder/cancel").status_code == 302
        assert web.post("/reminder/cancel").status_code == 404
    assert len(mails) == 1


def _answers(web: httpx.Client) -> bool:
    try:
        return web.get("/").status_code == 200
    except httpx.TransportError:
        return False
