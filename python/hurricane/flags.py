"""Carries the server's flags through Django: to argparse, and back from options and settings.

The flags are defined once, in the extension module. What was typed on the command line or given
to ``call_command`` wins, then the settings, then the environment, which the extension reads
itself. Values are passed on as text: the extension alone says what is allowed.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from hurricane import _core, legacy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Django's own management commands have these.
RESERVED = frozenset({"--help", "--version"})
# The application's own version: no flag, because ``--version`` tells Django's.
VERSION = "HURRICANE_VERSION"
# Settings that have always been read without the prefix. Django's own DEBUG is among them: all that
# --debug does is to let failing probes say more.
BARE_SETTINGS = legacy.FLAGS | {"AMQP_HOST", "AMQP_PORT", "AMQP_VHOST", "LOG_PROBES"}
COMMAND = "--command"
# What a bare setting may say to be a switch's; any other text is somebody else's setting.
SWITCH_TEXTS = frozenset({"", "0", "1", "false", "no", "off", "on", "true", "yes"})


class FlagError(Exception):
    """What was typed cannot be meant; the text says what to type instead."""


class SettingError(Exception):
    """A setting's value has a type that no flag can have; the text says which and what may be."""


def of_server() -> list[_core.Flag]:
    """The server's flags without those that Django's commands have anyway."""
    return [flag for flag in _core.flags() if flag["name"] not in RESERVED]


def of_consumer() -> list[_core.Flag]:
    """The flags of ``consume`` without those that Django's commands have anyway."""
    return [flag for flag in _core.consumer_flags() if flag["name"] not in RESERVED]


def key(flag: _core.Flag) -> str:
    """The flag's name as an option of a management command, such as ``req_queue_len``."""
    return flag["name"].lstrip("-").replace("-", "_")


def setting(flag: _core.Flag) -> str:
    """The flag's name as that of a setting without prefix, such as ``REQ_QUEUE_LEN``."""
    return key(flag).upper()


def add_to(parser: argparse.ArgumentParser, flags: Sequence[_core.Flag]) -> None:
    """Gives the parser these flags. An option that was not typed is absent from the result."""
    for flag in flags:
        choices = flag["choices"]
        metavar = "|".join(choices) if choices else flag["value_name"]
        shape: dict[str, Any] = {"metavar": metavar}
        if flag["switch"]:
            shape |= {"nargs": "?", "const": True}
        if flag["repeatable"]:
            shape["action"] = "append"
        if flag["name"] == COMMAND:
            # Words behind it are for `typed` to judge.
            shape["nargs"] = "+"
        parser.add_argument(
            flag["name"],
            dest=key(flag),
            default=argparse.SUPPRESS,
            help=help_text(flag),
            **shape,
        )


def help_text(flag: _core.Flag) -> str:
    """The flag's help with its default and its environment variable, escaped for argparse."""
    text = flag["help"]
    if flag["default"] is not None and not flag["switch"]:
        text += f" [default: {flag['default']}]"
    if flag["env"] is not None:
        text += f" [env: {flag['env']}]"
    return text.replace("%", "%%")


def typed(
    options: Mapping[str, object], flags: Sequence[_core.Flag], *, is_legacy: bool = False
) -> list[str]:
    """A command's options as arguments for the extension, whether typed or given as keywords."""
    arguments: list[str] = []
    for flag in flags:
        value = options.get(key(flag))
        if value is None:
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if flag["name"] == COMMAND:
            values = [first(words, is_legacy=is_legacy) for words in values]
        texts = [as_text(item) for item in values]
        if is_legacy:
            name, default = setting(flag), flag["default"]
            texts = [text for text in texts if not legacy.is_default(name, text, default)]
        arguments += [f"{flag['name']}={text}" for text in texts]
    return arguments


def first(words: object, *, is_legacy: bool) -> str:
    """The one text behind a ``--command``."""
    texts = [str(word) for word in words] if isinstance(words, list | tuple) else [str(words)]
    if is_legacy:
        return legacy.command(texts[0])
    if len(texts) > 1:
        surplus = " ".join(f"{COMMAND} '{text}'" for text in texts[1:])
        raise FlagError(
            f"{COMMAND} '{texts[0]}' has words behind it that nobody would run; "
            f"give each command a flag of its own: {surplus}"
        )
    return texts[0]


def from_settings(
    settings: object, flags: Sequence[_core.Flag], *, is_legacy: bool = False
) -> dict[str, str]:
    """Reads ``HURRICANE_X`` for each of the flags, and ``X`` for those that had it without prefix.

    ``HURRICANE_VERSION`` is the application's own version.

    Values keep the names that they were found under, so that a bad one can be named.
    """
    values: dict[str, str] = {}
    for flag in flags:
        name = setting(flag)
        is_prefixed = not is_legacy or legacy.is_prefixed(name)
        prefixed = getattr(settings, f"HURRICANE_{name}", None) if is_prefixed else None
        bare = getattr(settings, name, None) if name in BARE_SETTINGS else None
        if prefixed is not None:
            values[f"HURRICANE_{name}"] = setting_text(f"HURRICANE_{name}", prefixed, flag)
        elif is_bare_value(bare, flag):
            values[name] = setting_text(name, bare, flag)
    if is_legacy:
        for name in legacy.turned_on(setting(flag) for flag in flags if flag["switch"]):
            values.setdefault(name, "true")
    version = getattr(settings, VERSION, None)
    if version is not None:
        values[VERSION] = str(version)
    return values


def is_bare_value(value: object, flag: _core.Flag) -> bool:
    """Whether a setting without prefix is of a kind that is meant for the flag.

    Other packages have settings of the same names, such as a dictionary ``METRICS``.
    """
    if flag["switch"]:
        return isinstance(value, bool | int | str) and as_text(value).lower() in SWITCH_TEXTS
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float | str) or (flag["repeatable"] and is_list_of_texts(value))


def setting_text(name: str, value: object, flag: _core.Flag) -> str:
    """A setting's value as text; lists are for flags that may be repeated only."""
    if isinstance(value, bool | int | float | str):
        return as_text(value)
    if flag["repeatable"] and is_list_of_texts(value):
        return json.dumps(value)
    texts = "text, or a list of texts"
    allowed = texts if flag["repeatable"] else "text, a number, True or False"
    raise SettingError(
        f"settings.{name} is a {type(value).__name__}; "
        f"set it to what {flag['name']} takes: {allowed}"
    )


def is_list_of_texts(value: object) -> bool:
    """Whether the value may stand for several of a flag that may be repeated."""
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def as_text(value: object) -> str:
    """``true`` and ``false`` for booleans, else the value's own text."""
    return str(value).lower() if isinstance(value, bool) else str(value)
