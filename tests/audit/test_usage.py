"""What an auditor mistypes, or can not write to, is an error of usage: status 1 would say that a unit is refuted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audit.material import Material
from tests.cli.conftest import init, run
from tests.world import keyring

EXCHANGE = Path(sys.executable).with_name("exchange")


def test_a_code_that_is_none_is_no_firm_of_which_nothing_is_said(material: Material, tmp_path: Path) -> None:
    """Export, replay and report name the mistake; a code with blanks, as typed, is the code."""
    assert init(tmp_path / "cq").status == 0
    folder, node = material.export("cq"), tmp_path / "cq" / "node.toml"
    for command in (
        ("export", tmp_path / "out", "--node", node),
        ("replay", folder),
        ("report", folder, "-o", tmp_path / "page.html"),
    ):
        done = run("audit", *command, "--subject", "91500000MX0000019X", lang="zh")
        assert (done.status, "USCC_CHECK" in done.err, "校验" in done.err) == (2, True, True), done.err
    assert not (tmp_path / "out").exists()
    assert run("audit", "replay", folder, "--subject", " 91500000mx0000019c ").status == 0


def test_days_in_the_wrong_order_are_no_empty_export(tmp_path: Path) -> None:
    """Nothing lies between them: whoever wrote that meant another day."""
    assert init(tmp_path / "cq").status == 0
    node = tmp_path / "cq" / "node.toml"
    days = ("--since", "2026-07-01", "--until", "2026-01-01")
    done = run("audit", "export", tmp_path / "out", "--node", node, *days, lang="zh")
    assert (done.status, "--until 须晚于 --since" in done.err) == (2, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/at/all.db", "postgresql+psycopg://x@127.0.0.1:1/x"])
def test_a_database_that_can_not_be_made_is_told(material: Material, url: str) -> None:
    """In one line with its reason, never as a trace of the program."""
    done = run("audit", "import", material.export("cq"), "--database", url, "--json")
    (problem,) = done.json["error"]["problems"]
    assert (done.status, problem["reason"], problem["place"]) == (1, "DATABASE_ERROR", "database.url")


def test_a_place_that_can_not_be_written_to_is_told(material: Material, tmp_path: Path) -> None:
    """A file where a folder should be, on the way to what is written."""
    (tmp_path / "file").write_text("x")
    target = tmp_path / "restored"
    assert init(target, "cq").status == 0
    done = run("audit", "import", material.export("cq"), "--node", target / "node.toml")
    assert done.status == 0
    for command in (("heads", "-o", tmp_path / "file" / "heads"), ("export", tmp_path / "file" / "out")):
        done = run("audit", *command, "--node", target / "node.toml")
        assert (done.status, "Invalid value" in done.err) == (2, True), done.err


def test_authorities_that_are_none_are_told_also_where_nothing_is_stamped(material: Material, tmp_path: Path) -> None:
    """Before it is said that no stamp is refuted."""
    (tmp_path / "roots.pem").write_text("no certificate")
    done = run("audit", "timestamps", "--folder", material.export("cq"), "--roots", tmp_path / "roots.pem")
    assert (done.status, "CERTIFICATE_UNREADABLE" in done.err) == (2, True)
    (tmp_path / "roots.pem").write_bytes(keyring("cq").root.root_pem)
    done = run("audit", "timestamps", "--folder", material.export("cq"), "--roots", tmp_path / "roots.pem", lang="zh")
    assert (done.status, "盘上没有时间戳" in done.out) == (3, True)


def test_a_verdict_that_nobody_reads_to_its_end_is_none(material: Material) -> None:
    """The reader of the table goes away: the status is neither that of what is proven nor that of a finding."""
    command = [str(EXCHANGE), "audit", "verify", str(material.export("cq")), "--jobs", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 141


def test_help_speaks_the_language_that_is_asked_for() -> None:
    """On the command line too, not by the environment alone."""
    for arguments, chinese in (
        (["--lang", "zh", "audit", "verify", "--help"], "离线核验导出的审计文件夹"),
        (["--lang=zh", "--help"], "日志、检查点"),
        (["--lang", "en", "audit", "verify", "--help"], ""),
    ):
        environment = {"PATH": "/usr/bin", "LANG": "C.UTF-8" if chinese else "zh_CN.UTF-8", "COLUMNS": "200"}
        done = subprocess.run([EXCHANGE, *arguments], capture_output=True, text=True, check=True, env=environment)
        assert (chinese in done.stdout) if chinese else ("Check an exported folder offline" in done.stdout)


def test_what_is_found_is_told_in_chinese(material: Material, tmp_path: Path) -> None:
    """The fact beside the reason too, and what a replay lacks; what the material does not tell is said to be that."""
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "不是导出的文件夹" in run("audit", "verify", empty, lang="zh").out
    copy = material.copy_of("cq", tmp_path / "cq")
    (copy / "registers" / "position.json").unlink()
    (copy / ".DS_Store").write_bytes(b"")
    shown = run("audit", "verify", copy, *material.believing(), "--registers", "--jobs", "1", lang="zh").out
    flat = "".join(shown.split())
    assert "材料中没有登记表" in flat
    assert "不存在：导出时未含登记表" in flat
    assert "凭这份材料不能判定" in flat
    assert re.search(r"^ 0 +FILE_NOT_THERE", shown, re.MULTILINE)
    page = tmp_path / "page.html"
    run("audit", "report", copy, "-o", page, *material.believing(), "--registers", "--jobs", "1", lang="zh")
    assert "不存在：导出时未含登记表" in page.read_text("utf-8")
