import socket

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from signup import create_app

from scheduler_app.testing import SchedulerClock


class Mailbox(Message):
    """A mail server that keeps what it is sent."""

    def __init__(self):
        super().__init__()
        self.mails = []

    def handle_message(self, message):
        self.mails.append((message["To"], message["Subject"], message.get_payload().strip()))


@pytest.fixture
def server():
    """A real SMTP server, on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(Mailbox(), hostname="127.0.0.1", port=port)
    controller.start()
    yield controller
    controller.stop()


@pytest.fixture
def mails(server):
    return server.handler.mails


@pytest.fixture
def app(server, tmp_path):
    return create_app(
        TESTING=True, MAIL_PORT=server.port, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'signup.sqlite3'}"
    )


@pytest.fixture
def scheduler_clock(app):
    """Its jobs stand in the app's own database, for they join the app's own transactions."""
    with SchedulerClock(app, own_database=True) as clock:
        yield clock


@pytest.fixture
def web(app):
    return app.test_client()


@pytest.fixture
def sign_up(web):
    return lambda email: web.post("/sign-up", data={"email": email, "password": "secret"})
