"""The pages: who signs up is answered at once; the rest happens afterwards, or not at all."""

from datetime import timedelta

from flask import Blueprint, redirect, render_template_string, request, url_for
from flask_login import current_user, login_required, login_user, logout_user
from sqlalchemy.exc import IntegrityError

from scheduler_app import using
from scheduler_app.errors import JobConflictError, JobNotFoundError

from .jobs import remind, scheduler, welcome
from .models import User, db

pages = Blueprint("pages", __name__)

HOME = """<!doctype html><title>Sign-up</title>
{% if current_user.is_authenticated %}
  <p>You are {{ current_user.email }}.</p>
  <form method="post" action="{{ url_for('pages.cancel_reminder') }}"><button>No reminder, please</button></form>
  <form method="post" action="{{ url_for('pages.log_out') }}"><button>Log out</button></form>
{% else %}
  <form method="post" action="{{ url_for('pages.sign_up') }}">
    <input name="email" type="email" required> <input name="password" type="password" required>
    <button>Sign up</button> <button formaction="{{ url_for('pages.log_in') }}">Log in</button>
  </form>
{% endif %}"""


def reminder_of(user):
    return f"remind:{user.id}"


@pages.get("/")
def home():
    return render_template_string(HOME)


@pages.post("/sign-up")
def sign_up():
    user = User(email=request.form["email"])
    user.set_password(request.form["password"])
    db.session.add(user)
    try:
        db.session.flush()  # the user has an id now, and nobody else sees it yet
    except IntegrityError:
        db.session.rollback()
        return "This address is taken.", 409
    using(session=db.session).after_response(welcome, user.id)
    using(session=db.session, key=reminder_of(user)).schedule_after(timedelta(days=1), remind, user.id)
    db.session.commit()  # the user, the mail and the reminder: all of them, or none
    login_user(user)
    return redirect(url_for(".home"))


@pages.post("/log-in")
def log_in():
    user = db.session.query(User).filter_by(email=request.form["email"]).one_or_none()
    if user is None or not user.has_password(request.form["password"]):
        return "No.", 401
    login_user(user)
    return redirect(url_for(".home"))


@pages.post("/log-out")
def log_out():
    logout_user()
    return redirect(url_for(".home"))


@pages.post("/reminder/cancel")
@login_required
def cancel_reminder():
    try:
        scheduler.client.cancel(key=reminder_of(current_user))
    except (JobNotFoundError, JobConflictError):
        return "There is none to cancel.", 404
    return redirect(url_for(".home"))
