"""The stand-alone service: where its settings come from, what its page answers, and who may ask for what."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from scheduler_app.errors import ConfigurationError, UnknownEnvironmentError
from scheduler_app.jobs import JobState
from scheduler_app.service import create_app, page
from scheduler_app.service.configuration import config_folder, read_configuration
from scheduler_app.service.messages import MOST_KEPT, Message, MessageFile

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
SOON = {"message": "hello", "seconds": "3"}


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """The service as it is made in an empty folder; nothing runs jobs in a test."""
    monkeypatch.chdir(tmp_path)
    app = create_app()
    app.testing = True
    yield app
    app.extensions["scheduler"].store.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def stored(app: Flask) -> list[JobState]:
    with app.app_context():
        return [job.state for job in app.extensions["scheduler"].client.list()]


def message(number: int) -> Message:
    return Message(f"message {number}", f"job-{number}", "2026-03-01T03:00:00Z", "2026-03-01T03:00:01Z", 1000.0, 1)


# -- settings --------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "default.toml").write_text("SCHEDULER_POLL_SECONDS = 1\nSCHEDULER_ROLE = 'auto'\n")
    (tmp_path / "production.toml").write_text("SCHEDULER_POLL_SECONDS = 2\nSCHEDULER_DRAIN_SECONDS = 25\n")
    return tmp_path


def test_the_named_file_goes_before_the_default_and_the_environment_before_both(folder: Path) -> None:
    environ = {"SCHEDULER_ENV": "production", "SCHEDULER_DRAIN_SECONDS": "7", "HOME": "/root"}
    assert read_configuration(environ, folder) == {
        "SCHEDULER_POLL_SECONDS": 2,
        "SCHEDULER_ROLE": "auto",
        "SCHEDULER_DRAIN_SECONDS": 7,
    }


def test_without_a_named_file_the_default_holds(folder: Path) -> None:
    assert read_configuration({"SCHEDULER_ENV": " "}, folder)["SCHEDULER_POLL_SECONDS"] == 1


def test_a_variable_is_json_where_it_parses_and_text_where_not(folder: Path) -> None:
    environ = {
        "SCHEDULER_QUEUES": '["mail", "slow"]',
        "SCHEDULER_AUTO_UPGRADE": "true",
        "SCHEDULER_TIMEZONE": "Europe/Oslo",
    }
    settings = read_configuration(environ, folder)
    assert settings["SCHEDULER_QUEUES"] == ["mail", "slow"]
    assert settings["SCHEDULER_AUTO_UPGRADE"] is True
    assert settings["SCHEDULER_TIMEZONE"] == "Europe/Oslo"


def test_variables_that_are_no_settings_stay_out(folder: Path) -> None:
    environ = {"SCHEDULER_DEBUG_TOKEN": "secret", "SCHEDULER_TEST_REQUIRE_SERVERS": "1"}
    assert read_configuration(environ, folder) == read_configuration({}, folder)


@pytest.mark.parametrize("name", ["prodution", "../production", "/etc/passwd"])
def test_an_environment_without_a_file_is_refused_with_the_ones_that_there_are(folder: Path, name: str) -> None:
    with pytest.raises(UnknownEnvironmentError) as caught:
        read_configuration({"SCHEDULER_ENV": name}, folder)
    assert str(caught.value).startswith(
        f"SCHEDULER_ENV is {name!r}, and there is no file of that name in config/; it has 'default', 'production'."
    )
    if name == "prodution":
        assert str(caught.value).endswith(" Did you mean 'production'?")


def test_every_shipped_file_of_settings_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in config_folder().glob("*.toml"):
        monkeypatch.setenv("SCHEDULER_ENV", path.stem)
        assert "scheduler" in create_app().extensions


def test_a_mistyped_variable_is_told_before_anything_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHEDULER_POLL_SECOND", "1")
    with pytest.raises(ConfigurationError, match="SCHEDULER_POLL_SECOND is not a setting"):
        create_app()


def test_making_the_service_creates_nothing(app: Flask, tmp_path: Path) -> None:
    assert app.instance_path == str(tmp_path / "instance")
    assert list(tmp_path.iterdir()) == []


# -- reminders -------------------------------------------------------------------------------------


def test_a_reminder_is_answered_with_its_job(app: Flask, client: FlaskClient) -> None:
    answer = client.post("/remind", data=SOON)
    assert answer.status_code == 202
    assert answer.json is not None
    assert {name: answer.json[name] for name in ("state", "task", "message")} == {
        "state": "scheduled",
        "task": "demo.remind",
        "message": "hello",
    }
    with app.app_context():
        assert app.extensions["scheduler"].client.get(answer.json["id"]).task == "demo.remind"


def test_a_reminder_may_be_asked_for_in_json(app: Flask, client: FlaskClient) -> None:
    assert client.post("/remind", json={"message": "hello", "seconds": 0.5}).status_code == 202
    assert stored(app) == [JobState.SCHEDULED]


def test_a_browser_is_sent_back_to_the_page_which_shows_the_reminder(client: FlaskClient) -> None:
    answer = client.post("/remind", data=SOON | {"message": "<b>tea</b>"}, headers=BROWSER)
    assert (answer.status_code, answer.location) == (303, "/")
    shown = client.get("/").text
    assert "&lt;b&gt;tea&lt;/b&gt;" in shown
    assert "<b>" not in shown


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"seconds": "3"}, "A message is missing. Say what to be reminded of, such as message=hello."),
        ({"message": " ", "seconds": "3"}, "A message is missing. Say what to be reminded of, such as message=hello."),
        ({"message": "x" * 501, "seconds": "3"}, "The message has 501 characters; 500 is the most."),
        ({"message": "hello"}, "The seconds are missing. Say how long to wait, such as seconds=3."),
        (SOON | {"seconds": "-1"}, "The seconds must be a number from 0 to 31,536,000, a year, not '-1'."),
        (SOON | {"seconds": "nan"}, "The seconds must be a number from 0 to 31,536,000, a year, not 'nan'."),
        (SOON | {"seconds": "inf"}, "The seconds must be a number from 0 to 31,536,000, a year, not 'inf'."),
        (SOON | {"seconds": "soon"}, "The seconds must be a number from 0 to 31,536,000, a year, not 'soon'."),
        (SOON | {"seconds": "31536001"}, "The seconds must be a number from 0 to 31,536,000, a year, not '31536001'."),
    ],
)
def test_a_reminder_that_cannot_be_is_refused_in_words(
    app: Flask, client: FlaskClient, fields: dict[str, str], sentence: str
) -> None:
    answer = client.post("/remind", data=fields)
    assert (answer.status_code, answer.json) == (422, {"error": sentence})
    assert stored(app) == []


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ("{", 400, 'The body must be a JSON object, such as {"message": "hello", "seconds": 3}.'),
        ("[]", 400, 'The body must be a JSON object, such as {"message": "hello", "seconds": 3}.'),
        ('{"message": 5, "seconds": 3}', 422, "The message must be text, not 5."),
        (
            '{"message": "x", "seconds": true}',
            422,
            "The seconds must be a number from 0 to 31,536,000, a year, not True.",
        ),
        (
            '{"message": "\\ud800", "seconds": 3}',
            422,
            "The message holds half of a character, a lone surrogate. Send the whole.",
        ),
        (json.dumps({"message": "x" * 70_000}), 413, "That is too much at once; a message has 500 characters at most."),
    ],
)
def test_a_malformed_body_is_refused_in_words(
    app: Flask, client: FlaskClient, body: str, status: int, sentence: str
) -> None:
    answer = client.post("/remind", data=body, content_type="application/json")
    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json["error"] == sentence
    assert stored(app) == []


def test_a_browser_sees_what_is_wrong_beside_what_it_typed(client: FlaskClient) -> None:
    answer = client.post("/remind", data=SOON | {"seconds": "-1"}, headers=BROWSER)
    assert answer.status_code == 422
    assert "The seconds must be a number from 0 to 31,536,000, a year, not &#39;-1&#39;." in answer.text
    assert 'value="hello"' in answer.text


def test_a_reminder_is_taken_back(app: Flask, client: FlaskClient) -> None:
    made = client.post("/remind", data=SOON).json
    assert made is not None
    answer = client.post(f"/reminders/{made['id']}/cancel")
    assert answer.json is not None
    assert answer.json["state"] == "cancelled"
    assert stored(app) == [JobState.CANCELLED]
    assert "Nothing waits." in client.get("/").text


def test_what_is_no_reminder_cannot_be_cancelled_here(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        other = app.extensions["scheduler"].client.schedule_after(3, message, (1,), {})
    answer = client.post(f"/reminders/{other.id}/cancel")
    assert (answer.status_code, answer.json) == (404, {"error": "There is no such reminder."})
    assert stored(app) == [JobState.SCHEDULED]


def test_the_page_says_when_the_database_cannot_be_used(app: Flask, client: FlaskClient, tmp_path: Path) -> None:
    (tmp_path / "instance" / "scheduler_app-scheduler.sqlite3").mkdir(parents=True)
    shown = client.get("/", headers=BROWSER)
    assert shown.status_code == 200
    assert "cannot be used now" in shown.text
    assert client.post("/remind", data=SOON).status_code == 503


@pytest.mark.parametrize("headers", [{}, BROWSER], ids=["program", "browser"])
def test_a_reminder_cannot_be_taken_back_while_the_database_cannot_be_used(
    client: FlaskClient, tmp_path: Path, headers: dict[str, str]
) -> None:
    (tmp_path / "instance" / "scheduler_app-scheduler.sqlite3").mkdir(parents=True)
    answer = client.post("/reminders/x/cancel", headers=headers)
    assert answer.status_code == 503
    assert "scheduler_app-scheduler.sqlite3 cannot be used now: unable to open database file." in answer.text


@pytest.mark.parametrize("job_id", ["x", "%00", "a%00b", "%0A", "%F0%9F%8D%B5"])
def test_there_is_no_reminder_of_an_id_that_no_job_has(client: FlaskClient, job_id: str) -> None:
    answer = client.post(f"/reminders/{job_id}/cancel")
    assert (answer.status_code, answer.json) == (404, {"error": "There is no such reminder."})


def test_an_id_that_postgresql_cannot_even_be_asked_for_is_no_reminders(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHEDULER_DATABASE_URL", postgresql_url)
    monkeypatch.setenv("SCHEDULER_SIGNING_KEY", "a signing key of the tests, long enough")
    monkeypatch.setenv("SCHEDULER_AUTO_UPGRADE", "true")
    app = create_app()
    answer = app.test_client().post("/reminders/%00/cancel")
    app.extensions["scheduler"].store.close()
    assert (answer.status_code, answer.json) == (404, {"error": "There is no such reminder."})


# -- who may ask -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://elsewhere.example"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
)
@pytest.mark.parametrize("path", ["/remind", "/reminders/x/cancel", "/pull-the-plug"])
def test_another_sites_page_changes_nothing(
    app: Flask, client: FlaskClient, kills: list[tuple[int, int]], path: str, headers: dict[str, str]
) -> None:
    answer = client.post(path, data=SOON, headers=headers)
    assert (answer.status_code, answer.json) == (
        403,
        {"error": "Another site's page asked for this, so it was not done. Open this page itself and ask there."},
    )
    assert stored(app) == []
    assert kills == []


@pytest.mark.parametrize(
    "headers", [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://localhost"}]
)
def test_the_page_itself_and_programs_may_ask(client: FlaskClient, headers: dict[str, str]) -> None:
    assert client.post("/remind", data=SOON, headers=headers).status_code == 202


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What was killed, instead of this process."""
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(page.os, "kill", lambda pid, number: killed.append((pid, number)))
    return killed


def test_the_plug_is_pulled_after_the_answer_is_out(client: FlaskClient, kills: list[tuple[int, int]]) -> None:
    answer = client.post("/pull-the-plug")
    assert kills == []
    assert answer.json == {"killed": os.getpid(), "start_again": "flask --app scheduler_app run --port 80"}
    answer.close()
    assert kills == [(os.getpid(), 9)]


@pytest.mark.parametrize(
    ("environ", "headers"),
    [
        ({"REMOTE_ADDR": "192.0.2.7"}, {}),
        ({}, {"X-Forwarded-For": "192.0.2.7"}),
        ({}, {"Forwarded": "for=192.0.2.7"}),
        ({}, {"X-Real-IP": "192.0.2.7"}),
        ({}, {"Via": "1.1 proxy"}),
        ({}, {"Host": "rebound.example"}),
        ({}, {"Host": "localhost.rebound.example"}),
    ],
)
def test_nobody_from_elsewhere_pulls_the_plug_or_is_shown_it(
    client: FlaskClient, kills: list[tuple[int, int]], environ: dict[str, str], headers: dict[str, str]
) -> None:
    answer = client.post("/pull-the-plug", environ_overrides=environ, headers=headers)
    assert (answer.status_code, answer.json) == (
        403,
        {"error": "Only a browser or program on this machine may pull the plug."},
    )
    answer.close()
    assert kills == []
    assert "Pull the plug" not in client.get("/", environ_overrides=environ, headers=headers).text
    assert "Pull the plug" in client.get("/").text


@pytest.mark.parametrize("origin", ["https://shop.example", "null", "http://localhost.example", "http://["])
def test_a_page_behind_a_proxy_that_leaves_no_trace_pulls_no_plug(
    client: FlaskClient, kills: list[tuple[int, int]], origin: str
) -> None:
    own = {"Origin": origin, "Sec-Fetch-Site": "same-origin", "Host": "127.0.0.1:5000"}
    with client.post("/pull-the-plug", headers=own) as answer:
        assert answer.status_code == 403
    assert kills == []


@pytest.mark.parametrize("address", ["http://localhost", "http://127.0.0.1:5000", "http://[::1]:5000"])
def test_the_page_of_this_machine_pulls_the_plug(
    client: FlaskClient, kills: list[tuple[int, int]], address: str
) -> None:
    own = {"Origin": address, "Sec-Fetch-Site": "same-origin", "Host": address.removeprefix("http://")}
    with client.post("/pull-the-plug", headers=own) as answer:
        assert answer.status_code == 200
    assert len(kills) == 1


def test_the_page_loads_from_its_own_host_alone_and_names_nothing_inline(client: FlaskClient) -> None:
    client.post("/remind", data=SOON)
    answer = client.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style|style=|\son\w+=|<script(?! src)", answer.text)
    for address in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        with client.get(address) as found:
            assert found.status_code == 200, address


def test_without_a_script_the_page_looks_again_when_the_next_reminder_is_due(client: FlaskClient) -> None:
    assert "http-equiv" not in client.get("/").text
    client.post("/remind", data=SOON)
    assert '<noscript><meta http-equiv="refresh" content="4; url=/"></noscript>' in client.get("/").text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0084, "8 ms"), (1, "1 s"), (2.1, "3 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 days")],
)
def test_time_spans_are_told_short(seconds: float, words: str) -> None:
    assert page.in_words(seconds) == words


# -- messages --------------------------------------------------------------------------------------


def test_messages_are_listed_newest_first_and_bounded(app: Flask, client: FlaskClient) -> None:
    assert client.get("/messages").json == {"messages": []}
    for number in range(60):
        MessageFile(Path(app.instance_path)).add_if_absent(message(number))
    listed = client.get("/messages").json
    assert listed is not None
    assert [one["job_id"] for one in listed["messages"]] == [f"job-{number}" for number in range(59, 9, -1)]
    few = client.get("/messages?limit=2").json
    assert few is not None
    assert len(few["messages"]) == 2


@pytest.mark.parametrize("limit", ["abc", "", "0", "-1", "501", "1.5", "1e2", "\u0663", "9" * 30])
def test_a_limit_that_is_none_is_refused_in_words(client: FlaskClient, limit: str) -> None:
    answer = client.get("/messages", query_string={"limit": limit})
    assert (answer.status_code, answer.json) == (
        422,
        {"error": f"The limit must be a whole number from 1 to 500, not {limit!r:.40}."},
    )
    assert client.get("/messages?limit=500").status_code == 200


def test_a_job_that_runs_again_is_kept_once(tmp_path: Path) -> None:
    file = MessageFile(tmp_path)
    assert file.add_if_absent(message(1)) is True
    assert file.add_if_absent(message(1)) is False
    assert file.latest(10) == [message(1)]


def test_a_line_that_was_cut_short_costs_no_other(tmp_path: Path) -> None:
    file = MessageFile(tmp_path)
    file.add_if_absent(message(1))
    with (tmp_path / "messages.jsonl").open("ab") as torn:
        torn.write(b'{"text": "half a')
    file.add_if_absent(message(2))
    assert file.latest(10) == [message(2), message(1)]


def test_the_file_is_cut_back_to_the_newest_messages(tmp_path: Path) -> None:
    file = MessageFile(tmp_path)
    lines = [json.dumps({name: getattr(message(n), name) for name in Message.__slots__}) for n in range(2 * MOST_KEPT)]
    (tmp_path / "messages.jsonl").write_text("\n".join(lines) + "\n")
    file.add_if_absent(message(2 * MOST_KEPT))
    kept = file.latest(10_000)
    assert len(kept) == MOST_KEPT
    assert (kept[0], kept[-1]) == (message(2 * MOST_KEPT), message(MOST_KEPT + 1))
