"""Sign-up: an app that mails after the response, reminds a day later, and reports each night."""

from flask import Flask

from .jobs import scheduler
from .models import db, logins
from .views import pages

DEFAULTS = {
    "SECRET_KEY": "change me, and keep it to yourself",
    "SQLALCHEMY_DATABASE_URI": "sqlite:///signup.sqlite3",
    "MAIL_HOST": "127.0.0.1",
    "MAIL_PORT": 8025,
    "MAIL_FROM": "hello@signup.example",
    "OPERATOR": "operator@signup.example",
    "SCHEDULER_BASE_URL": "http://127.0.0.1:5000/",
}


def create_app(**config):
    app = Flask(__name__)
    app.config.from_mapping(DEFAULTS)
    app.config.from_prefixed_env()
    app.config.from_mapping(config)
    db.init_app(app)
    logins.init_app(app)
    scheduler.init_app(app)
    app.register_blueprint(pages)
    with app.app_context():
        db.create_all()
    return app
