"""``cargo xtask wheels`` leaves the directories of this machine out of what it gives away."""

import base64
import hashlib
import runpy
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from manifests import ROOT

RENAMING = ROOT / "crates" / "xtask" / "src" / "wheels" / "renaming.py"
MODULE, BILL, RECORD = "shop/a.py", "shop-1.dist-info/sboms/a.json", "shop-1.dist-info/RECORD"
TIME = (2026, 1, 2, 3, 4, 6)


def line(name: str, content: str) -> str:
    """What a wheel records of a file."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest())
    return f"{name},sha256={digest.decode().rstrip('=')},{len(content)}"


def archive(path: Path, contents: dict[str, str]) -> Path:
    """A wheel with these files and their record."""
    record = "\n".join([*(line(*each) for each in contents.items()), f"{RECORD},,", ""])
    with ZipFile(path, "w") as written:
        for name, content in {**contents, RECORD: record}.items():
            file = ZipInfo(name, TIME)
            file.compress_type, file.external_attr = ZIP_DEFLATED, 0o100644 << 16
            written.writestr(file, content)
    return path


def test_where_a_wheel_was_built_does_not_change_it(tmp_path: Path) -> None:
    rename = runpy.run_path(str(RENAMING))["rename"]
    # Sources that happen to name the directory stay as they are: so does their hash.
    bill, source = '{{"ref": "path+file://{}/crates/a"}}', "HOME = '/elsewhere/shop'"
    found = archive(tmp_path / "a.whl", {MODULE: source, BILL: bill.format("/elsewhere/shop")})
    rename(found, b"/elsewhere/shop", b"/shop")
    wanted = archive(tmp_path / "b.whl", {MODULE: source, BILL: bill.format("/shop")})
    assert found.read_bytes() == wanted.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a.whl", "b.whl"}
