"""The demo service as a newcomer meets it: a real server, plain HTTP, and `kill -9` in between."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.processes import NO_TLS, ROOT, Process, environment, running, until

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SERVERS = {
    "flask": ("-m", "flask", "--app", "scheduler_app", "run", "--no-reload", "--port", "PORT"),
    "gunicorn": ("-m", "gunicorn", "-w", "2", "-b", "127.0.0.1:PORT", "scheduler_app.service:create_app()"),
}


@contextmanager
def demo(folder: Path, server: str = "flask", **env: str) -> Iterator[Process]:
    """Serve the demo in a folder; its `instance` there outlives the process."""
    with running(*SERVERS[server], folder=folder, env=environment(folder, **env), name=server) as process:
        process.wait_until_it_answers()
        yield process


def send(process: Process, method: str, path: str, **options: Any) -> httpx.Response:
    """Send what curl would, with whatever answer; a redirect is not followed."""
    url = f"http://127.0.0.1:{process.port}{path}"
    return httpx.request(method, url, timeout=30, trust_env=False, verify=NO_TLS, **options)


def remind(process: Process, message: str, seconds: float) -> dict[str, Any]:
    answer = send(process, "POST", "/remind", data={"message": message, "seconds": str(seconds)})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def arrived(process: Process) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = send(process, "GET", "/messages").json()["messages"]
    return listed


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_message_comes_that_many_seconds_after_is_printed_and_shown(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        job = remind(process, "hello", 0.5)
        (message,) = until(lambda: arrived(process), "the message")
        assert message["job_id"] == job["id"]
        assert (message["text"], message["attempt"]) == ("hello", 1)
        assert instant(message["arrived_at"]) >= instant(message["run_at"]) == instant(job["run_at"])
        assert 0 <= message["lateness_ms"] < 5000
        assert "] hello\n" in process.said()
        assert "hello" in send(process, "GET", "/", headers=BROWSER).text


def test_a_message_comes_once_although_the_process_is_killed_before_it_is_due(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        job = remind(process, "it survives", 1)
        process.send(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    time.sleep(1.2)  # down while it falls due
    with demo(tmp_path) as process:
        began = time.monotonic()
        (message,) = until(lambda: arrived(process), "the message of the killed process")
        print(f"Shown {time.monotonic() - began:.2f} s after the new process answered.")
        assert message["job_id"] == job["id"]
        lateness = (instant(message["arrived_at"]) - instant(message["run_at"])).total_seconds() * 1000
        assert message["lateness_ms"] == pytest.approx(lateness, abs=1)
        remind(process, "later", 0)
        until(lambda: len(arrived(process)) == 2, "a second message")
        assert [one["text"] for one in arrived(process)] == ["later", "it survives"]
        assert process.said().count("it survives") == 1


def test_the_plug_is_pulled_and_what_was_promised_comes_after_the_next_start(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        remind(process, "after the plug", 0.5)
        answer = send(process, "POST", "/pull-the-plug", headers=BROWSER | {"Sec-Fetch-Site": "same-origin"})
        assert answer.status_code == 200
        assert f"flask --app scheduler_app run --port {process.port}" in answer.text
        assert process.wait() == -signal.SIGKILL
    with demo(tmp_path) as process:
        until(lambda: [one["text"] for one in arrived(process)] == ["after the plug"], "the message after the plug")


def test_another_site_cannot_pull_the_plug(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        for headers in ({"Origin": "https://elsewhere.example"}, {"Host": "elsewhere.example"}):
            assert send(process, "POST", "/pull-the-plug", headers=headers).status_code == 403
        assert process.popen.poll() is None


def test_a_browser_asks_and_takes_back_without_a_script(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        own = BROWSER | {"Origin": f"http://127.0.0.1:{process.port}", "Sec-Fetch-Site": "same-origin"}
        asked = send(process, "POST", "/remind", data={"message": "tea", "seconds": "60"}, headers=own)
        assert (asked.status_code, asked.headers["Location"]) == (303, "/")
        shown = send(process, "GET", "/", headers=own).text
        address = shown.split('action="/reminders/')[1].split('"')[0]
        taken_back = send(process, "POST", f"/reminders/{address}", headers=own)
        assert (taken_back.status_code, taken_back.headers["Location"]) == (303, "/")
        assert "Nothing waits." in send(process, "GET", "/", headers=own).text


def test_several_workers_on_postgresql_show_each_message_once(tmp_path: Path, postgresql_url: str) -> None:
    settings = {
        "SCHEDULER_ENV": "development",
        "SCHEDULER_DATABASE_URL": postgresql_url,
        "SCHEDULER_SIGNING_KEY": "a signing key of the tests, long enough",
    }
    with demo(tmp_path, "gunicorn", **settings) as process:
        texts = {remind(process, f"message {number}", 0.2)["message"] for number in range(20)}
        until(lambda: len(arrived(process)) == len(texts), "all messages")
        assert sorted(one["text"] for one in arrived(process)) == sorted(texts)


def test_a_mistyped_setting_is_told_in_words(tmp_path: Path) -> None:
    env = environment(tmp_path, SCHEDULER_POLL_SECOND="1")
    with running(*SERVERS["flask"], folder=tmp_path, env=env) as process:
        assert process.wait() != 0
        assert "SCHEDULER_POLL_SECOND is not a setting. Did you mean 'SCHEDULER_POLL_SECONDS'?" in process.said()


def test_the_app_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    (app,) = re.findall(r"```python\n(# app.py\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "app.py").write_text(app)
    command = ("-m", "flask", "run", "--port", "PORT")
    with running(*command, folder=tmp_path, env=environment(tmp_path), name="readme") as process:
        process.wait_until_it_answers()
        assert send(process, "GET", "/greet/Ada").status_code == 200
        until(lambda: "Hello, Ada!" in process.said(), "the greeting")
