from flask import Blueprint


def admin_blueprint(p):
    return Blueprint("scheduler", __name__, url_prefix=p)
