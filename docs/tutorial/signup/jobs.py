"""What runs later: in an app context, in whichever process is free, and without a request."""

from datetime import timedelta

from flask import current_app, url_for

from scheduler_app import RetryPolicy, Scheduler, task

from .mail import send
from .models import User, db, now

scheduler = Scheduler()
PATIENT = RetryPolicy(attempts=5, backoff=30, retry_on=[OSError])  # a mail server that is away comes back


@task(name="signup.welcome", retry=PATIENT)
def welcome(user_id):
    user = db.session.get(User, user_id)
    send(user.email, "Welcome", f"Good to have you. This is yours: {url_for('pages.home', _external=True)}")


@task(name="signup.remind", retry=PATIENT)
def remind(user_id):
    user = db.session.get(User, user_id)
    if user is not None:  # who has left since needs no reminder
        send(user.email, "Still there?", "You signed up yesterday, and there is more to see.")


@scheduler.cron("0 4 * * *", name="nightly report")
def report():
    since = now() - timedelta(days=1)
    count = db.session.query(User).filter(User.created_at >= since).count()
    send(current_app.config["OPERATOR"], "Sign-ups", f"{count} in the last 24 hours")
