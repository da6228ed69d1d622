"""Mail, by SMTP."""

import smtplib
from email.message import EmailMessage

from flask import current_app


def send(to, subject, text):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = current_app.config["MAIL_FROM"], to, subject
    message.set_content(text)
    with smtplib.SMTP(current_app.config["MAIL_HOST"], current_app.config["MAIL_PORT"], timeout=10) as server:
        server.send_message(message)
