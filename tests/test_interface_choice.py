"""When Django is entered below WSGI, and what is said when it is not."""

from collections.abc import Callable
from types import FunctionType, SimpleNamespace
from typing import Any

import django
import pytest
from django.core.handlers import base, wsgi
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application
from django.urls import base as urls

from conftest import Starter
from hurricane import _core, interface
from hurricane.interface import internals
from hurricane.interface.known import KNOWN
from serving import Server, as_settings


@pytest.fixture(scope="module")
def application() -> WSGIHandler:
    django.setup()
    return get_wsgi_application()


def other(_environ: Any, _start_response: Any) -> list[bytes]:
    return []


def test_djangos_own_handler_is_entered_below_wsgi(application: WSGIHandler) -> None:
    assert internals.obstacle(application) is None
    entered, reason = interface.choose("auto", application)
    assert isinstance(entered, _core.DjangoEntry)
    assert reason == "Django's own WSGI handler"


def test_wsgi_is_what_was_asked_for(application: WSGIHandler) -> None:
    assert interface.choose("wsgi", application) == (application, "--interface wsgi")


@pytest.mark.parametrize(
    ("wrap", "reason"),
    [
        (lambda _application: other, "test_interface_choice.other, not Django's own"),
        (lambda application: application.__call__, "__call__, not Django's own"),
        (lambda _application: type("Own", (WSGIHandler,), {})(), "Own, not Django's own"),
    ],
)
def test_what_is_not_djangos_own_handler_is_called(
    application: WSGIHandler, wrap: Callable[[Any], Any], reason: str
) -> None:
    wrapped = wrap(application)
    chosen, said = interface.choose("auto", wrapped)
    assert chosen is wrapped
    assert reason in said


def test_a_handler_with_a_method_of_its_own_is_called(application: WSGIHandler) -> None:
    own = WSGIHandler.__new__(WSGIHandler)
    vars(own).update(vars(application), get_response=application.get_response)
    assert internals.obstacle(own) == "the application has a get_response of its own"


def test_a_function_in_place_of_djangos_is_noticed(
    application: WSGIHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As tracing agents do it: with the name and the documentation of the original.
    stand_in: Any = FunctionType(other.__code__, globals(), "__call__")
    stand_in.__wrapped__ = WSGIHandler.__call__
    stand_in.__module__ = WSGIHandler.__module__
    monkeypatch.setattr(WSGIHandler, "__call__", stand_in)
    obstacle = internals.obstacle(application)
    assert obstacle is not None
    assert obstacle.startswith("WSGIHandler.__call__ was replaced by ")
    assert "test_interface_choice" in obstacle


@pytest.mark.parametrize("name", ["get_response", "make_view_atomic"])
def test_an_object_in_place_of_a_method_is_noticed(
    application: WSGIHandler, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(base.BaseHandler, name, SimpleNamespace())
    obstacle = internals.obstacle(application)
    assert obstacle == f"BaseHandler.{name} was replaced by types"


def test_an_unknown_release_of_django_is_noticed(
    application: WSGIHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "django.core.handlers.wsgi:WSGIRequest.__init__"
    monkeypatch.setitem(KNOWN, name, frozenset({"another"}))
    obstacle = internals.obstacle(application)
    assert obstacle is not None
    assert "WSGIRequest.__init__ of this version of Django is unknown" in obstacle
    monkeypatch.delattr(wsgi, "get_path_info")
    assert "has no get_path_info" in " ".join(internals.strangers())


def test_an_unknown_release_of_asgiref_is_noticed(
    application: WSGIHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urls, "_prefixes", SimpleNamespace())
    obstacle = internals.obstacle(application)
    assert obstacle is not None
    assert obstacle.startswith("this version of asgiref")


def interface_of(server: Server) -> tuple[str, str]:
    status = server.status()
    return status["interface"], status["interface_reason"]


def test_the_start_line_says_why_a_wrapped_application_is_called(start_once: Starter) -> None:
    settings = as_settings(WSGI_APPLICATION="stage.wrapped.application")
    server = start_once("--interface", "django", env=settings)
    assert server.get("/").body == b"hello"
    name, reason = interface_of(server)
    assert name == "wsgi"
    assert "stage.wrapped.Wrapped, not Django's own WSGI handler" in reason
    assert server.lines_with("Django cannot be entered below WSGI: the application is")


def test_auto_enters_an_ordinary_project_below_wsgi(start_once: Starter) -> None:
    server = start_once("--interface", "auto")
    assert server.get("/").body == b"hello"
    assert interface_of(server) == ("django", "Django's own WSGI handler")
