"""A Flask application."""

from flask import Flask, Response, request

application = Flask(__name__)


@application.post("/form")
def form() -> dict[str, str]:
    """What a form sent."""
    return dict(request.form)


@application.get("/")
def hello() -> Response:
    """Answers hello."""
    return Response("hello from Flask", mimetype="text/plain")
