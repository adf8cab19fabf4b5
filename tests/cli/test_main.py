"""The command line as a whole: help, languages, exit statuses, texts."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from exchange.cli.main import COMMANDS
from exchange.cli.texts import detail_of, language_of, reasons
from tests.cli.conftest import run
from tests.cli.fake_node import Abort, FakeNode

CLI = Path(str(files("exchange.cli")))
CONTRACT = {
    "submissions": ["list", "show", "receipt"],
    "records": ["list", "show", "attachment", "envelope", "convert", "erase", "due", "erase-due"],
    "labs": ["list", "show"],
    "stations": ["list", "show"],
    "readings": ["list"],
    "lanes": ["list", "show", "pause", "resume", "retry", "retire"],
    "quarantine": ["list", "show", "retry", "discard"],
    "alarms": ["list", "ack"],
    "peers": ["card", "add", "list", "show", "remove"],
    "agencies": ["list", "show", "apply", "bind", "suspend"],
    "actions": ["list", "show", "confirm", "refuse"],
    "rules": ["list", "show", "explain", "diff", "validate", "activate", "redecide"],
    "trust": ["list", "remove", "reload", "pending", "confirm"],
    "folder": ["watch", "status"],
    "feedback": ["due", "effects"],
    "alerts": ["list", "show", "ack"],
    "requests": ["list", "show", "answer"],
    "certs": [
        "status",
        "rotate",
        "request",
        "install",
        "announce",
        "activate",
        "retire",
        "abort",
        "rehearse",
        "report",
    ],
    "pki": ["dev", "authority", "issue", "prove", "crl"],
    "config": ["show", "validate"],
    "db": ["migrate", "backup", "restore", "verify"],
    "adapters": ["list", "test", "convert", "losses", "template"],
    "hj212": ["decode"],
    "catalogue": ["list", "export"],
    "audit": ["logs", "entries", "checkpoint", "proof", "history", "body", "prove-erased", "timestamps"],
}
TOP = ["init", "run", "status", "doctor", "submit", "check", "subject", "watch", "verify", "inspect", "explain"]


def test_help_tells_the_three_kinds_of_command_apart() -> None:
    """With a certificate, on the node's files, offline: each a panel of its own, in both languages."""
    english, chinese = (
        run("--help"),
        subprocess.run(
            [sys.executable, "-c", "from exchange.cli.main import main; main()", "--help"],
            env={"LANG": "zh_CN.UTF-8", "PYTHONUTF8": "1", "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ),
    )
    for panel in ("With a certificate", "On the node's files", "Offline"):
        assert panel in english.out
    for panel in ("持证书访问节点", "在节点文件上操作", "离线"):
        assert panel in chinese.stdout


def test_root_help_imports_no_command() -> None:
    """--help stays fast because nothing that runs is imported for it."""
    code = (
        "import sys; sys.argv = ['exchange', '--help']\n"
        "from exchange.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('grpc', 'sqlalchemy', 'cryptography', 'google.protobuf', 'openpyxl') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, check=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_command_of_the_contract_is_there() -> None:
    """Each noun has its verbs, each verb its help, and every command says --json."""
    assert sorted(COMMANDS) == sorted([*CONTRACT, *TOP])
    for noun, verbs in CONTRACT.items():
        assert run(noun, "--help").status == 0
        for verb in verbs:
            shown = run(noun, verb, "--help")
            assert shown.status == 0, (noun, verb)
            assert "--json" in shown.out
    for name in TOP:
        assert run(name, "--help").status == 0


def test_no_line_of_a_help_page_is_cut_off() -> None:
    """A Chinese sentence has no blanks to break at: it goes on in the next line, on a terminal of 80 columns too."""
    pages = [[noun, verb, "--help"] for noun, verbs in CONTRACT.items() for verb in verbs]
    pages += [[name, "--help"] for name in (*CONTRACT, *TOP)]
    code = (
        "import json, sys\n"
        "from typer.testing import CliRunner\n"
        "from exchange.cli.main import app\n"
        "for page in json.loads(sys.argv[1]):\n"
        "    print(CliRunner().invoke(app, ['--lang', 'zh', *page]).stdout)\n"
    )
    environment = {"PYTHONUTF8": "1", "COLUMNS": "80", "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", code, json.dumps(pages)]
    shown = subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout
    assert shown.count("显示本页后退出") == len(pages)
    assert [line for line in shown.splitlines() if line.rstrip(" │").endswith("…")] == []
    assert "Options" not in shown


def test_usage_errors_are_2() -> None:
    """An unknown command, option or value is a matter of usage, with a suggestion where there is one."""
    for arguments in (["statsu"], ["status", "--nope"], ["inspect"], ["--lang", "fr", "explain", "FORK"]):
        assert run(*arguments).status == 2
    assert "status" in run("statsu").err


def test_language_follows_the_locale() -> None:
    """LC_ALL goes before LC_MESSAGES before LANG; anything but Chinese is English."""
    assert language_of({"LANG": "zh_CN.UTF-8"}) == "zh"
    assert language_of({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}) == "en"
    assert language_of({"LC_MESSAGES": "zh_TW.UTF-8", "LANG": "C"}) == "zh"
    assert language_of({}) == "en"


def _used_texts() -> set[str]:
    used = set()
    for path in CLI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                used.add(node.value)
    return used


def test_every_text_is_used_and_every_use_has_both_languages() -> None:
    """A text that is missing, in one language only, or said by nobody is found here and not by an officer."""
    table = tomllib.loads((CLI / "tables" / "texts.toml").read_text("utf-8"))
    used = _used_texts()
    for group, entries in table.items():
        for name, entry in entries.items():
            assert sorted(entry) == ["en", "zh"], (group, name)
            assert set(re.findall(r"{(\w+)}", entry["zh"])) == set(re.findall(r"{(\w+)}", entry["en"])), (group, name)
    for key in used:
        group, dot, name = key.partition(".")
        if dot and group in ("help", "option", "message", "title", "panel", "word", "heading") and name.isidentifier():
            assert name in table[group], key
    for group in ("option", "message", "title", "panel", "word"):
        for name in table[group]:
            assert f"{group}.{name}" in used, (group, name)
    for name in table["heading"]:
        stem = name.removeprefix("result_")
        assert name in used or stem.upper() in used, name


def test_reasons_raised_by_the_command_line_are_in_the_table() -> None:
    """Whatever code the command line gives has its texts."""
    known = reasons().codes
    pattern = re.compile(r"(?:Problem|Undecidable)\(\s*\"([A-Z_]+)\"")
    for path in (*CLI.rglob("*.py"), *CLI.parent.joinpath("settings").rglob("*.py")):
        for code in pattern.findall(path.read_text("utf-8")):
            assert code in known, (path.name, code)


def test_an_unreachable_node_is_3(profile: Path) -> None:
    """Nobody answers: the outcome is not known."""
    profile.write_text(re.sub(r"localhost:\d+", "localhost:1", profile.read_text()))
    done = run("status", "--json")
    assert done.status == 3
    assert done.json["error"]["reason"] == "NODE_AWAY"


@pytest.mark.usefixtures("no_profile")
def test_a_missing_profile_is_2() -> None:
    """Without a profile there is nothing to call: usage."""
    done = run("status", lang="zh")
    assert done.status == 2
    assert "访问配置不可用" in done.err


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("address = 3", "text"),
        ('adress = "x:1"', "adress"),
        ("[", "at end of document"),
        ('address = "x:1"', "missing"),
    ],
)
def test_a_bad_profile_says_what_is_wrong(profile: Path, text: str, word: str) -> None:
    """Each mistake of a profile is named."""
    profile.write_text(text)
    done = run("status")
    assert done.status == 2
    assert word in done.err


def test_a_refusal_is_1_and_says_every_reason_once(profile: Path, node: FakeNode) -> None:
    """Reason, place, meaning, detail and remedy, in the language of the caller and not twice."""
    said = "必填项缺失。 (空) 补填该项后重新提交。"
    fields = (("FIELD_MISSING", "agency.name", said), ("NEW_REASON", "agency.x", "novel"))
    node.answers["GetStatus"] = Abort("INVALID_ARGUMENT", "FIELD_MISSING", fields)
    shown = run("status", lang="en")
    assert shown.status == 1
    assert "FIELD_MISSING agency.name" in shown.err
    assert "A required field is missing." in shown.err
    assert "必填" not in shown.err
    assert "空" in shown.err
    assert "novel" in shown.err
    told = run("status", "--json").json["error"]
    assert told["reason"] == "FIELD_MISSING"
    assert told["problems"][0] == {"reason": "FIELD_MISSING", "place": "agency.name", "detail": "空"}


def test_retry_info_is_passed_on(profile: Path, node: FakeNode) -> None:
    """When the node says when to come back, so does the command."""
    node.answers["GetStatus"] = Abort("RESOURCE_EXHAUSTED", "TRY_AGAIN", retry_s=1.5)
    done = run("status", "--json")
    assert done.status == 1
    assert done.json["error"]["retry_after_seconds"] == 1.5


def test_detail_of_takes_out_what_the_table_says_anyway() -> None:
    """Only what a node adds to the table's own texts is news."""
    zh = reasons().text("FIELD_MISSING", "zh")
    assert detail_of("FIELD_MISSING", f"{zh.message} (行 7) {zh.remedy}") == "行 7"
    assert detail_of("FIELD_MISSING", zh.message) == ""
    assert detail_of("NEW_REASON", "anything") == "anything"


def test_what_others_wrote_does_not_steer_the_terminal(profile: Path, node: FakeNode) -> None:
    """Control characters of a peer's texts are shown as such."""
    node.answers["GetStatus"] = Abort("INVALID_ARGUMENT", "X", (("X", "a\x1b[2Jb", "c\x07"),))
    done = run("status")
    assert "\x1b[2J" not in done.err
    assert "\x07" not in done.err
