"""Flags on their way through Django, without a server."""

import argparse
from types import SimpleNamespace

import pytest

from hurricane import _core, flags
from hurricane.server import sanitize_probes

SERVER = flags.of_server()


def parsed(*words: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    flags.add_to(parser, SERVER)
    return vars(parser.parse_args(words))


def test_an_option_that_is_not_typed_is_not_passed_on() -> None:
    assert parsed() == {}
    assert flags.typed({}, SERVER) == flags.typed({"port": None}, SERVER) == []


def test_typed_options_become_arguments_again() -> None:
    typed = flags.typed(parsed("--port", "80", "--no-probe", "--io=epoll"), SERVER)
    assert set(typed) == {"--port=80", "--no-probe=true", "--io=epoll"}


def test_keywords_may_have_their_own_types() -> None:
    assert flags.typed({"port": 80, "no_probe": False}, SERVER) == ["--port=80", "--no-probe=false"]


def test_a_switch_may_be_given_a_value() -> None:
    assert flags.typed(parsed("--no-probe=false"), SERVER) == ["--no-probe=false"]


def test_settings_are_read_with_prefix_and_the_old_ones_without() -> None:
    settings = SimpleNamespace(
        HURRICANE_PORT=81, PORT=80, WORKERS=3, THREADS=9, HURRICANE_NO_PROBE=False, DEBUG=True
    )
    assert flags.from_settings(settings, SERVER) == {
        "HURRICANE_PORT": "81",
        "WORKERS": "3",
        "HURRICANE_NO_PROBE": "false",
        "DEBUG": "true",
    }


@pytest.mark.parametrize(
    "foreign",
    [{"PORT": {"of": "something"}}, {"PORT": True}, {"NO_PROBE": "a text"}, {"LIVENESS_PROBE": ()}],
)
def test_a_bare_setting_of_another_type_belongs_to_somebody_else(
    foreign: dict[str, object],
) -> None:
    assert flags.from_settings(SimpleNamespace(**foreign), SERVER) == {}


def test_a_bare_switch_is_a_boolean_however_it_is_written() -> None:
    for value, text in [(True, "true"), (0, "0"), ("off", "off"), ("TRUE", "TRUE")]:
        assert flags.from_settings(SimpleNamespace(NO_PROBE=value), SERVER) == {"NO_PROBE": text}


def test_a_prefixed_setting_of_another_type_is_refused() -> None:
    with pytest.raises(flags.SettingError, match=r"settings\.HURRICANE_PORT is a dict"):
        flags.from_settings(SimpleNamespace(HURRICANE_PORT={}), SERVER)


def test_every_bare_setting_is_a_flag() -> None:
    names = {flags.key(flag).upper() for flag in [*_core.flags(), *_core.consumer_flags()]}
    assert names >= flags.BARE_SETTINGS


def test_probe_paths_are_sanitised() -> None:
    options = {"liveness_probe": "alive", "readiness_probe": "//ready", "startup_probe": "/ s "}
    sanitized, paths = sanitize_probes({**options, "port": 1})
    expected = {"liveness_probe": "/alive", "readiness_probe": "/ready", "startup_probe": "/s"}
    assert paths == expected
    assert sanitized == {**expected, "port": 1}


def test_a_flag_that_may_be_repeated_carries_a_list() -> None:
    commands = ["migrate", "collectstatic --no-input"]
    expected = [f"--command={command}" for command in commands]
    assert (
        flags.typed(parsed("--command", commands[0], "--command", commands[1]), SERVER) == expected
    )
    assert flags.typed({"command": commands}, SERVER) == expected
    assert flags.typed({"command": "migrate"}, SERVER) == ["--command=migrate"]
    for setting in ({"HURRICANE_COMMAND": commands}, {"COMMAND": tuple(commands)}):
        (given,) = flags.from_settings(SimpleNamespace(**setting), SERVER).items()
        assert given == (next(iter(setting)), '["migrate", "collectstatic --no-input"]')
    assert flags.from_settings(SimpleNamespace(COMMAND=[1]), SERVER) == {}
    with pytest.raises(flags.SettingError, match="text, or a list of texts"):
        flags.from_settings(SimpleNamespace(HURRICANE_COMMAND=[["migrate"]]), SERVER)


def test_the_applications_version_is_a_setting_and_no_flag() -> None:
    settings = SimpleNamespace(HURRICANE_VERSION=7, VERSION="not ours")
    assert flags.from_settings(settings, SERVER) == {"HURRICANE_VERSION": "7"}
    assert "--version" not in {flag["name"] for flag in _core.flags()}


def test_webhooks_and_lifetime_keep_their_bare_settings() -> None:
    settings = SimpleNamespace(WEBHOOK_URL="http://hooks", MAX_LIFETIME=9)
    assert flags.from_settings(settings, SERVER) == {
        "WEBHOOK_URL": "http://hooks",
        "MAX_LIFETIME": "9",
    }
