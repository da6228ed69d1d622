from flask.cli import AppGroup
scheduler_commands=AppGroup("scheduler")
