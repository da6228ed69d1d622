import pytest
from signup.jobs import remind, report, welcome
from signup.models import User, db


def test_who_signs_up_is_answered_at_once_and_welcomed_afterwards(sign_up, scheduler_clock, mails):
    assert sign_up("ada@example.com").status_code == 302
    scheduler_clock.assert_scheduled(welcome, args=(1,))
    assert mails == []
    scheduler_clock.run_due()
    text = "Good to have you. This is yours: http://127.0.0.1:5000/"
    assert mails == [("ada@example.com", "Welcome", text)]


def test_an_address_that_is_taken_brings_no_second_mail(sign_up, scheduler_clock, mails):
    assert [sign_up("ada@example.com").status_code for _ in range(2)] == [302, 409]
    scheduler_clock.run_due()
    assert [subject for _, subject, _ in mails] == ["Welcome"]


def test_what_is_not_committed_is_not_mailed(sign_up, scheduler_clock, mails, monkeypatch, app):
    def fail():
        raise RuntimeError("the database went away")

    monkeypatch.setattr(db.session, "commit", fail)
    with pytest.raises(RuntimeError):
        sign_up("ada@example.com")
    monkeypatch.undo()
    with app.app_context():
        assert db.session.query(User).count() == 0
    scheduler_clock.advance(days=2)
    assert {to for to, *_ in mails} <= {"operator@signup.example"}


def test_a_reminder_comes_a_day_later(sign_up, scheduler_clock, mails):
    sign_up("ada@example.com")
    scheduler_clock.assert_scheduled(remind, args=(1,))
    scheduler_clock.advance(days=1)
    assert ("ada@example.com", "Still there?") in [mail[:2] for mail in mails]


def test_a_user_cancels_the_reminder(sign_up, web, scheduler_clock, mails):
    sign_up("ada@example.com")
    assert web.post("/reminder/cancel").status_code == 302
    assert web.post("/reminder/cancel").status_code == 404
    scheduler_clock.advance(days=2)
    assert "Still there?" not in [subject for _, subject, _ in mails]


def test_nobody_cancels_anothers_reminder(sign_up, web, scheduler_clock, mails):
    sign_up("ada@example.com")
    web.post("/log-out")
    assert web.post("/reminder/cancel").status_code == 401
    sign_up("bob@example.com")
    web.post("/reminder/cancel")
    scheduler_clock.advance(days=1)
    assert [to for to, subject, _ in mails if subject == "Still there?"] == ["ada@example.com"]


def test_a_mail_server_that_is_away_is_tried_again(sign_up, server, scheduler_clock, mails, app):
    app.config["MAIL_PORT"] = 1  # where nobody listens
    sign_up("ada@example.com")
    scheduler_clock.run_due()
    assert mails == []
    app.config["MAIL_PORT"] = server.port
    scheduler_clock.advance(minutes=1)
    assert [subject for _, subject, _ in mails] == ["Welcome"]


def test_each_night_there_is_a_report(sign_up, scheduler_clock, mails):
    with scheduler_clock.freeze("2030-01-01 12:00"):
        sign_up("ada@example.com")
        scheduler_clock.advance(hours=16)
    assert mails[-1] == ("operator@signup.example", "Sign-ups", "1 in the last 24 hours")


def test_the_report_is_a_plain_function_too(app, mails):
    with app.app_context():
        report()
    assert mails == [("operator@signup.example", "Sign-ups", "0 in the last 24 hours")]
