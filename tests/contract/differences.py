"""The rows of the contract that differ on purpose from Django-Hurricane 1.6.2.

``differences.toml`` is the one list. The table in docs/migrating-from-django-hurricane.md is made
of it: ``python tests/contract/differences.py`` writes it again.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIST = HERE / "differences.toml"
GUIDE = HERE.parents[1] / "docs" / "migrating-from-django-hurricane.md"
BEGIN = "<!-- made of tests/contract/differences.toml: begin -->"
END = "<!-- made of tests/contract/differences.toml: end -->"
MARK = re.compile(r'\bmark\.(row|old)\(\s*"([^"]+)"')


@dataclass(frozen=True)
class Difference:
    """Something that was changed on purpose."""

    rows: list[str]
    was: str
    now: str
    why: str
    # How to get the old behaviour otherwise, or how far --compat brings it back.
    how: str = ""
    compat: bool = False
    # Why nothing brings it back.
    never: str = ""


def listed() -> list[Difference]:
    """All of them, in the order of the list."""
    table = tomllib.loads(LIST.read_text())
    return [Difference(**entry) for entry in table["difference"]]


def rows_in_tests() -> dict[str, set[str]]:
    """The ids that tests have marked, by mark: ``row`` and ``old``."""
    found: dict[str, set[str]] = {"row": set(), "old": set()}
    for path in HERE.glob("test_*.py"):
        for mark, identity in MARK.findall(path.read_text()):
            found[mark].add(identity)
    return found


def table() -> str:
    """The list as a table."""
    lines = [
        "| Django-Hurricane 1.6.2 | Hurricane | why | the old behaviour |",
        "|---|---|---|---|",
    ]
    for difference in listed():
        how = "`--compat 1.6`" if difference.compat else f"never: {difference.never}"
        if difference.how:
            how += f"; {difference.how}"
        lines.append(f"| {difference.was} | {difference.now} | {difference.why} | {how} |")
    return "\n".join(lines)


def in_guide(text: str) -> tuple[str, str, str]:
    """The guide before the table, the table, and the guide behind it."""
    before, _, rest = text.partition(BEGIN)
    made, end, after = rest.partition(END)
    assert end, f"{GUIDE.name} has lost the comments around its table"
    return before + BEGIN, made.strip("\n"), END + after


if __name__ == "__main__":
    before, _, after = in_guide(GUIDE.read_text())
    GUIDE.write_text(f"{before}\n\n{table()}\n\n{after}")
