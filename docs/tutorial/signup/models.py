"""Users, in the app's own database; the jobs stand beside them."""

from datetime import UTC, datetime

from flask_login import LoginManager, UserMixin
from flask_sqlalchemy import SQLAlchemy
from werkzeug.security import check_password_hash, generate_password_hash

db = SQLAlchemy()
logins = LoginManager()


def now():
    return datetime.now(UTC).replace(tzinfo=None)


class User(UserMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(200), nullable=False, unique=True)
    password = db.Column(db.String(200), nullable=False)
    created_at = db.Column(db.DateTime, nullable=False, default=now)

    def set_password(self, text):
        self.password = generate_password_hash(text)

    def has_password(self, text):
        return check_password_hash(self.password, text)


@logins.user_loader
def load_user(user_id):
    return db.session.get(User, int(user_id))
