"""Names of WSGI callables, and the sentences for names that lead nowhere."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hurricane.loader import LoadError, load


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        del sys.modules[name]


def write(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


APPLICATION = "def application(environ, start_response): return []\n"


def test_the_working_directory_is_searched(directory: Path) -> None:
    write(directory, "first_app.py", APPLICATION)
    assert callable(load("first_app:application"))


def test_the_attribute_is_application_unless_it_is_named(directory: Path) -> None:
    write(directory, "second_app.py", APPLICATION + "class site: app = application\n")
    assert load("second_app") is load("second_app:") is load("second_app:site.app")


def test_a_missing_module_is_told_from_one_that_it_imports(directory: Path) -> None:
    write(directory, "third_app.py", "import absent_dependency\n")
    with pytest.raises(LoadError, match='there is no module "absent_app"'):
        load("absent_app:application")
    with pytest.raises(LoadError, match=r"absent_dependency.*third_app.py, line 1") as caught:
        load("third_app:application")
    assert "there is no module" not in str(caught.value)


def test_a_missing_parent_package_is_named(directory: Path) -> None:
    write(directory, "fourth_package/__init__.py", "")
    with pytest.raises(LoadError, match=r'there is no module "fourth_package\.wsgi"'):
        load("fourth_package.wsgi:application")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0\n", r"ZeroDivisionError: division by zero .*line 1"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        ("def broken(:\n", "SyntaxError"),
        ("raise ValueError('two\\nlines')\n", "ValueError: two lines"),
    ],
)
def test_whatever_an_import_raises_becomes_one_line(directory: Path, text: str, said: str) -> None:
    write(directory, "fifth_app.py", text)
    with pytest.raises(LoadError, match=said) as caught:
        load("fifth_app:application")
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_what_cannot_be_called_is_refused(directory: Path) -> None:
    write(directory, "sixth_app.py", "application = 42\n")
    with pytest.raises(LoadError, match="it is of type int, not a WSGI callable"):
        load("sixth_app:application")


@pytest.mark.parametrize("name", ["", "a-b:application", "a..b:application", "a/b.py:application"])
def test_what_is_no_module_name_is_refused(directory: Path, name: str) -> None:
    with pytest.raises(LoadError, match="is not a module name"):
        load(name)
