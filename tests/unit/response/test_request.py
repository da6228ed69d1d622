"""How a request ends decides what becomes of what it deferred."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest
from flask import Flask, Response, copy_current_request_context, request_finished, stream_with_context

from scheduler_app import Scheduler, after_response, using
from scheduler_app.errors import (
    AfterResponseError,
    DuplicateKeyError,
    JobConflictError,
    JobNotFoundError,
    NotSchedulableError,
    OptionError,
)
from scheduler_app.jobs import JobState
from tests.unit.response.work import GONE, HELD, RELEASED, call, seen
from tests.wsgi import Exchange

MakeApp = Callable[..., Flask]


def test_a_call_waits_for_the_close(app: Flask) -> None:
    opened = Exchange(app, "/ok/one")
    assert seen(app) == {"one": HELD}
    assert opened.read() == b"ok"
    assert seen(app) == {"one": HELD}
    opened.close()
    assert seen(app) == {"one": RELEASED}


def test_outside_a_request_it_means_now(app: Flask) -> None:
    with app.app_context():
        after_response(call, "in an app context")
        using(even_on_error=True).after_response(call, "with an option")
    with app.test_request_context():
        after_response(call, "in a request that nobody sent")
    assert set(seen(app).values()) == {RELEASED}


def test_every_door_has_it(make_app: MakeApp) -> None:
    scheduler = Scheduler()
    app = make_app(scheduler=scheduler)

    @app.get("/doors")
    def doors() -> str:
        scheduler.after_response(call, "scheduler")
        scheduler.using(tags=["t"]).after_response(call, "using")
        return "doors"

    opened = Exchange(app, "/doors")
    assert seen(app) == {"scheduler": HELD, "using": HELD}
    opened.finish()


# -- errors ------------------------------------------------------------------------------------------


def test_an_error_that_nobody_handles_drops_them_but_what_is_to_run_even_then(app: Flask) -> None:
    opened = Exchange(app, "/raises/it")
    assert opened.status.startswith("500")
    opened.finish()
    assert seen(app) == {"it even so": RELEASED}


@pytest.mark.parametrize("way", ["aborts", "handled"])
def test_an_error_that_is_an_answer_keeps_them(app: Flask, way: str) -> None:
    opened = Exchange(app, f"/{way}/it")
    assert opened.status[:3] in ("404", "409")
    opened.finish()
    assert seen(app) == {"it": RELEASED}


def test_a_handler_of_500_may_defer_calls_of_its_own(app: Flask) -> None:
    @app.errorhandler(500)
    def handler(_error: Exception) -> tuple[str, int]:
        after_response(call, "by the handler")
        return "sorry", 500

    opened = Exchange(app, "/raises/it")
    assert opened.finish() == b"sorry"
    assert seen(app) == {"it even so": RELEASED, "by the handler": RELEASED}


def test_an_error_that_goes_on_to_the_server_leaves_to_the_fallback_what_runs_even_then(make_app: MakeApp) -> None:
    app = make_app(PROPAGATE_EXCEPTIONS=True)
    with pytest.raises(RuntimeError, match="the view's own"):
        Exchange(app, "/raises/it")
    assert seen(app) == {"it even so": HELD}


def test_a_view_that_ends_its_thread_drops_them(app: Flask) -> None:
    @app.get("/exits")
    def exits() -> str:
        after_response(call, "never")
        raise SystemExit

    with pytest.raises(SystemExit):
        Exchange(app, "/exits")
    assert seen(app) == {}


def test_an_error_after_they_were_stored_cancels_them(app: Flask) -> None:
    def fails(_app: Flask, **_: object) -> None:
        raise RuntimeError("another receiver's own")

    @request_finished.connect_via(app)
    def later(sender: Flask, **facts: object) -> None:
        if app.extensions["scheduler"].client.list():  # ours was before; who is first is not said
            fails(sender, **facts)

    opened = Exchange(app, "/ok/it")
    opened.finish()
    assert (opened.status[:3], seen(app)) in [("500", {"it": GONE}), ("200", {"it": RELEASED})]


def break_the_table(app: Flask) -> None:
    """Have the database refuse every further job."""
    parts = app.extensions["scheduler"]
    parts.store.write(
        lambda connection: connection.exec_driver_sql(
            "CREATE TRIGGER no BEFORE INSERT ON scheduler_jobs BEGIN SELECT RAISE(ABORT, 'no more jobs'); END"
        )
    )


def test_a_store_that_fails_makes_the_response_a_500_with_nothing_stored(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    @app.get("/two")
    def two() -> str:
        after_response(call, "one")
        using(even_on_error=True).after_response(call, "two")
        return "two"

    break_the_table(app)
    told: list[BaseException] = []
    app.register_error_handler(500, lambda error: (told.append(error.original_exception), ("sorry", 500))[1])
    opened = Exchange(app, "/two")
    assert (opened.status[:3], opened.finish()) == ("500", b"sorry")
    assert seen(app) == {}
    assert "no more jobs" in str(told[0])
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_handler_that_defers_calls_answers_also_while_the_store_fails(app: Flask) -> None:
    @app.errorhandler(500)
    def handler(_error: Exception) -> tuple[str, int]:
        after_response(call, "by the handler")
        return "sorry", 500

    break_the_table(app)
    opened = Exchange(app, "/ok/it")
    assert (opened.status[:3], opened.finish()) == ("500", b"sorry")
    assert seen(app) == {}


def test_a_store_that_fails_in_the_propagating_way_goes_to_the_server(make_app: MakeApp) -> None:
    app = make_app(PROPAGATE_EXCEPTIONS=True)
    break_the_table(app)
    with pytest.raises(Exception, match="no more jobs"):
        Exchange(app, "/ok/it")
    assert seen(app) == {}


def test_calls_that_were_to_run_even_after_an_error_and_cannot_be_stored_are_told(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(PROPAGATE_EXCEPTIONS=True)
    break_the_table(app)
    with pytest.raises(RuntimeError, match="the view's own"):
        Exchange(app, "/raises/it")
    assert "calls that were to run even after an error cannot be stored" in caplog.text


def test_what_is_not_schedulable_is_refused_where_it_stands(app: Flask) -> None:
    refused: list[Exception] = []

    @app.get("/refused")
    def view() -> str:
        try:
            after_response(lambda: None)
        except NotSchedulableError as error:
            refused.append(error)
        return "refused"

    Exchange(app, "/refused").finish()
    assert len(refused) == 1
    assert seen(app) == {}


def test_even_on_error_goes_with_after_response_only(app: Flask) -> None:
    with app.app_context():
        for schedule in (
            lambda verbs: verbs.schedule_after(1, call, "no"),
            lambda verbs: verbs.schedule_now(call, "no"),
            lambda verbs: verbs.schedule_many([(1, call, ("no",))]),
        ):
            with pytest.raises(OptionError, match="only after_response drops calls"):
                schedule(using(even_on_error=True))
        with pytest.raises(OptionError, match="must be True or False, not 'yes'"):
            using(even_on_error="yes")
    assert seen(app) == {}


def test_more_calls_than_may_wait_for_one_response_are_refused(make_app: MakeApp) -> None:
    app = make_app(SCHEDULER_MAX_BATCH=3)

    @app.get("/many")
    def many() -> str:
        for number in range(4):
            after_response(call, str(number))
        return "many"

    app.register_error_handler(AfterResponseError, lambda error: (str(error), 400))
    opened = Exchange(app, "/many")
    assert opened.finish().startswith(b"after_response: 3 calls wait for this response, and more may not.")
    assert seen(app) == dict.fromkeys("012", RELEASED)


# -- moments -----------------------------------------------------------------------------------------


def test_calls_before_and_after_the_view_count_as_its_own(app: Flask) -> None:
    @app.before_request
    def before() -> None:
        after_response(call, "before")

    @app.after_request
    def after(response: Response) -> Response:
        after_response(call, "after")
        return response

    @app.teardown_request
    def teardown(_error: BaseException | None) -> None:
        after_response(call, "teardown")

    opened = Exchange(app, "/ok/view")
    assert seen(app) == {"before": HELD, "view": HELD, "after": HELD, "teardown": HELD}
    opened.finish()
    assert set(seen(app).values()) == {RELEASED}


@pytest.mark.parametrize("with_context", [True, False])
def test_a_call_in_a_streamed_body_is_stored_at_once_and_waits_for_the_end(
    make_app: MakeApp, with_context: bool
) -> None:
    scheduler = Scheduler()
    app = make_app(scheduler=scheduler)

    @app.get("/stream")
    def stream() -> Response:
        def chunks() -> Iterator[str]:
            yield "a"
            scheduler.after_response(call, "in the body")
            yield "b"

        return Response(stream_with_context(chunks()) if with_context else chunks())

    opened = Exchange(app, "/stream")
    body = iter(opened.body)
    assert next(body) == b"a"
    assert seen(app) == {}
    assert next(body) == b"b"
    assert seen(app) == {"in the body": HELD}
    assert list(body) == []
    opened.close()
    assert seen(app) == {"in the body": RELEASED}


def test_an_error_in_a_streamed_body_keeps_what_the_view_deferred(app: Flask) -> None:
    @app.get("/stream")
    def stream() -> Response:
        def chunks() -> Iterator[str]:
            yield "a"
            raise RuntimeError("the body's own")

        after_response(call, "by the view")
        return Response(chunks())

    opened = Exchange(app, "/stream")
    with pytest.raises(RuntimeError, match="the body's own"):
        opened.read()
    opened.close()
    assert seen(app) == {"by the view": RELEASED}


def test_a_body_whose_close_fails_releases_all_the_same(app: Flask) -> None:
    def fails() -> None:
        raise RuntimeError("the close's own")

    @app.get("/closes")
    def closes() -> Response:
        after_response(call, "by the view")
        response = Response("closes")
        response.call_on_close(fails)
        return response

    opened = Exchange(app, "/closes")
    with pytest.raises(RuntimeError, match="the close's own"):
        opened.finish()
    assert seen(app) == {"by the view": RELEASED}


def test_a_thread_of_the_views_own_may_defer_calls_before_and_after_the_close(app: Flask) -> None:
    go = threading.Event()
    threads: list[threading.Thread] = []

    @app.get("/thread")
    def view() -> str:
        @copy_current_request_context
        def late() -> None:
            assert go.wait(10)
            after_response(call, "late")

        @copy_current_request_context
        def early() -> None:
            after_response(call, "early")

        threads.extend([threading.Thread(target=early), threading.Thread(target=late)])
        threads[0].start()
        threads[0].join()
        threads[1].start()
        return "thread"

    Exchange(app, "/thread").finish()
    assert seen(app) == {"early": RELEASED}
    go.set()
    threads[1].join(10)
    assert seen(app) == {"early": RELEASED, "late": RELEASED}


def test_an_async_view_may_defer_calls(app: Flask) -> None:
    @app.get("/async")
    async def view() -> str:
        after_response(call, "async")
        return "async"

    opened = Exchange(app, "/async")
    assert seen(app) == {"async": HELD}
    opened.finish()
    assert seen(app) == {"async": RELEASED}


# -- the handle --------------------------------------------------------------------------------------


def test_a_job_that_is_not_stored_yet_can_be_looked_at_and_cancelled(app: Flask) -> None:
    @app.get("/handle")
    def handle() -> str:
        kept, cancelled = after_response(call, "kept"), after_response(call, "cancelled")
        assert kept.state is kept.refresh().state is JobState.SCHEDULED
        assert str(kept.explain()) == "It is held until its response has been sent."
        with pytest.raises(JobConflictError, match="cannot be asked to run at another time before"):
            kept.reschedule(after=60)
        for too_early in (kept.run_now, kept.pause, kept.resume, kept.retry):
            with pytest.raises(JobConflictError, match=r"is 'held', so it cannot be asked to .* It allows: cancel"):
                too_early()
        assert cancelled.cancel() is JobState.CANCELLED
        with pytest.raises(JobNotFoundError):
            cancelled.refresh()
        jobs.append(kept)
        return kept.id

    jobs: list = []
    opened = Exchange(app, "/handle")
    assert opened.read().decode() == jobs[0].id == jobs[0].refresh().id
    assert "It is due at" in str(jobs[0].explain())
    opened.close()
    assert seen(app) == {"kept": RELEASED}
    assert jobs[0].pause().resume().reschedule(by=60).run_now().reschedule(after=60).cancel() is JobState.CANCELLED
    assert jobs[0].retry().state is JobState.SCHEDULED


def test_a_job_that_was_dropped_is_not_found(app: Flask) -> None:
    jobs: list = []

    @app.get("/drops")
    def drops() -> str:
        jobs.append(after_response(call, "dropped"))
        raise RuntimeError

    Exchange(app, "/drops").finish()
    with pytest.raises(JobNotFoundError):
        jobs[0].refresh()


def test_a_key_names_one_job_within_a_request_too(app: Flask) -> None:
    @app.get("/key/<on_conflict>")
    def key(on_conflict: str) -> str:
        verbs = using(key="k", on_conflict=on_conflict)
        first = verbs.after_response(call, "first")
        second = verbs.after_response(call, "second")
        assert (first.created, second.created, first.id == second.id) == (True, False, True)
        return "key"

    for on_conflict, wins in (("existing", "first"), ("throttle", "second"), ("debounce", "second")):
        opened = Exchange(app, f"/key/{on_conflict}")
        assert opened.finish() == b"key"
        assert seen(app) == {wins: RELEASED}
        app.extensions["scheduler"].client.cancel(key="k")
        app.extensions["scheduler"].store.write(lambda c: c.exec_driver_sql("DELETE FROM scheduler_jobs"))


def test_a_key_that_is_taken_raises_in_the_view(app: Flask) -> None:
    with app.app_context():
        using(key="k").schedule_after(60, call, "standing")
    raised: list[Exception] = []

    @app.get("/key")
    def key() -> str:
        with pytest.raises(DuplicateKeyError) as error:
            using(key="k", on_conflict="raise").after_response(call, "second")
        raised.append(error.value)
        return "key"

    assert Exchange(app, "/key").finish() == b"key"
    assert len(raised) == 1
    assert seen(app) == {"standing": HELD}


def test_nothing_is_logged_where_nothing_fails(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    Exchange(app, "/ok/it").finish()
    assert seen(app) == {"it": RELEASED}
    [nobody] = caplog.records  # there is indeed no worker here
    assert nobody.getMessage().startswith("no live worker serves queue='default'")


def is_heard(app: Flask) -> bool:
    """Whether a receiver of ours would hear of the end of a view."""
    receivers = list(request_finished.receivers_for(app))
    return any(one.__module__ == "scheduler_app.response.responses" for one in receivers)


def test_flasks_signal_has_a_receiver_only_while_a_view_has_calls_to_store(app: Flask) -> None:
    heard: list[bool] = []

    def look() -> None:
        heard.append(is_heard(app))

    @app.get("/asked/<how>")
    def asked(how: str) -> str:
        look()
        job = after_response(call, "withdrawn")
        look()
        job.cancel()
        look()
        after_response(call, how)
        if how == "raises":
            raise RuntimeError(how)
        return how

    for how in ("ok", "raises", "ok"):
        Exchange(app, f"/asked/{how}").finish()
        look()
    assert heard == 3 * [False, True, False, False]


def test_two_requests_that_overlap_are_both_heard_to_their_end(app: Flask) -> None:
    entered, leave = threading.Barrier(2), threading.Event()

    @app.get("/both/<name>")
    def both(name: str) -> str:
        after_response(call, name)
        entered.wait(10)
        if name == "second":
            leave.wait(10)
        return name

    slow = threading.Thread(target=lambda: Exchange(app, "/both/second").finish())
    slow.start()
    assert Exchange(app, "/both/first").finish() == b"first"
    leave.set()
    slow.join(10)
    assert seen(app) == {"first": RELEASED, "second": RELEASED}
    assert not is_heard(app)
