"""What waits for a response is kept through a kill, runs once, in its order, in whichever process there is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.acceptance.processes import Process, until
from tests.acceptance.responses.shop import SERVERS, make_shop
from tests.acceptance.responses.wire import Wire
from tests.acceptance.sites import Site

FALLBACK_SECONDS = 1.0
LONG_SECONDS = 2.5
"""How long a response stays open: longer than its fallback, which is put off meanwhile."""
WORKER = ("-m", "flask", "--app", "shop", "scheduler", "run")
CLIENT = {"SCHEDULER_ROLE": "client"}
ONE_SLOT = {"SCHEDULER_EXECUTORS": '{"default": {"max_workers": 1}}'}
FALLBACK = {"SCHEDULER_AFTER_RESPONSE_FALLBACK_SECONDS": str(FALLBACK_SECONDS)}


def began(site: Site) -> list[str]:
    """Return the label of each call that began, in order."""
    return [line.label.split()[0] for line in site.lines("began")]


def began_at(site: Site, label: str) -> float:
    """Return when a call began, in seconds since 1970."""
    [at] = [int(line.label.split()[1]) for line in site.lines("began") if line.label.split()[0] == label]
    return at / 1e9


def wait_for_workers(site: Site, process: Process, workers: int = 1) -> None:
    until(lambda: site.workers() == workers, f"{workers} workers\n{process.said()}")


def begin_stream(wire: Wire, label: str) -> None:
    """Ask for a response that stays open until its gate is opened; return once its first byte is here."""
    wire.send(f"/after_response/open/{label}")
    until(lambda: wire.read(0.01) or b"first" in wire.answer.data, "the first byte of a body")


@pytest.mark.parametrize("server", ["gunicorn gthread", "waitress"])
def test_a_kill_between_the_insert_and_the_close_leaves_them_to_the_fallback_once(
    server: str, tmp_path: Path, store_url: str
) -> None:
    site = make_shop(tmp_path, store_url, **CLIENT, **FALLBACK)
    site.open("it")
    with site.run(*SERVERS[server]) as web, site.run(*WORKER, name="worker") as worker:
        web.wait_until_it_answers()
        wait_for_workers(site, worker)
        with Wire(web.port) as wire:
            begin_stream(wire, "it")
            site.wait_for_jobs({("scheduled", 0, 0): 1})
            web.kill()
        site.wait_for("ended", "it")
        site.wait_for_jobs({("succeeded", 0, 0): 1})
        assert [line.pid for line in site.lines("ended")] == [worker.pid]
    assert began(site) == ["it"]


def test_an_open_response_puts_the_fallback_off_in_a_process_that_runs_no_jobs(tmp_path: Path, store_url: str) -> None:
    site = make_shop(tmp_path, store_url, **CLIENT, **FALLBACK)
    site.open("it")
    with site.run(*SERVERS["gunicorn gthread"]) as web, site.run(*WORKER, name="worker") as worker:
        web.wait_until_it_answers()
        wait_for_workers(site, worker)
        with Wire(web.port) as wire:
            begin_stream(wire, "it")
            assert not wire.read(LONG_SECONDS)
            assert began(site) == []
            site.open("stream")
            assert wire.read(10), web.said()
        site.wait_for("ended", "it")
        assert began_at(site, "it") > wire.answer.at / 1e9
        assert began_at(site, "it") - wire.answer.at / 1e9 < FALLBACK_SECONDS, "the close counts, not the fallback"
    assert began(site) == ["it"]


def test_a_process_that_ends_right_after_a_close_has_said_so(tmp_path: Path, sqlite_url: str) -> None:
    """Gunicorn ends this worker after one request; the ten seconds of the fallback are not waited for."""
    site = make_shop(tmp_path, sqlite_url, **CLIENT)
    site.open("it")
    command = (*SERVERS["gunicorn sync"], "--max-requests", "1")
    with site.run(*command) as web, site.run(*WORKER, name="worker") as worker:
        web.wait_until_it_answers()
        wait_for_workers(site, worker)
        with Wire(web.port) as wire:
            wire.send("/after_response/body/it")
            assert wire.read(20), web.said()
        over = time.time()
        site.wait_for("ended", "it")
        assert began_at(site, "it") - over < 5


def test_a_hundred_calls_of_one_request_keep_their_order(tmp_path: Path, store_url: str) -> None:
    site = make_shop(tmp_path, store_url, **ONE_SLOT)
    labels = [f"call-{number}" for number in range(100)]
    site.open(*labels)
    with site.run(*SERVERS["waitress"]) as process:
        process.wait_until_it_answers()
        wait_for_workers(site, process)
        with Wire(process.port) as wire:
            wire.send("/many")
            assert wire.read(20), process.said()
        site.wait_for("ended", labels[-1])
    assert began(site) == labels


def test_a_store_that_fails_is_a_500_and_nothing_else_is_sent(tmp_path: Path, sqlite_url: str) -> None:
    site = make_shop(tmp_path, sqlite_url, **CLIENT)
    site.rows("CREATE TRIGGER no BEFORE INSERT ON scheduler_jobs BEGIN SELECT RAISE(ABORT, 'no more jobs'); END")
    with site.run(*SERVERS["waitress"]) as process:
        process.wait_until_it_answers()
        with Wire(process.port) as wire:
            wire.send("/after_response/stream/it")
            assert wire.read(20), process.said()
            assert wire.answer.status == 500
            assert b"one" not in wire.answer.data
        assert "no more jobs" in process.said()
    assert site.rows("SELECT * FROM scheduler_jobs") == []
