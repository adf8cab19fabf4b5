"""``audit replay``, ``reconcile`` and ``import`` as an auditor runs them."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from exchange.crypto.keys import encode_seed
from tests.cli.conftest import Run, init, run
from tests.flows.audit.past import NAMES, Past, by_hand
from tests.world import keyring


@pytest.fixture
def nodes(past: Past, tmp_path: Path) -> dict[str, Path]:
    """The node files of both sides, over copies of the history."""
    files = {}
    for name in NAMES:
        assert init(tmp_path / name, name).status == 0
        data = tmp_path / name / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(past.folder / f"{name}.db", data / "exchange.db")
        files[name] = tmp_path / name / "node.toml"
    return files


def database(node: Path) -> Path:
    """A node's database."""
    return node.parent / "data" / "exchange.db"


def some_record(node: Path) -> tuple[int, str]:
    """A row of a credit result: its number and its subject."""
    with by_hand(database(node)) as connection:
        row: tuple[int, str] = connection.execute(
            "SELECT seq, subject FROM reg_records WHERE kind = 1 AND subject <> '' ORDER BY seq LIMIT 1"
        ).fetchone()
    return row


def codes(done: Run) -> set[Any]:
    """Codes of the findings."""
    return {each["code"] for each in done.json["findings"]}


def test_a_replay_says_how_far_it_came_and_that_it_agrees(nodes: dict[str, Path]) -> None:
    """Status 0, the digest of the journal, the same twice; and what rules decided is decided again alike."""
    first = run("audit", "replay", nodes["sc"], "--json")
    assert first.status == 0, first.err
    assert first.json["entries"] > 60
    again = run("audit", "replay", nodes["sc"], "--re-evaluate", "--json")
    assert (again.status, again.json["digest"]) == (0, first.json["digest"])
    assert again.json["re_evaluated"]["same"] > 10
    assert again.json["re_evaluated"]["differ"] == 0
    shown = run("audit", "replay", nodes["sc"], lang="zh")
    assert (shown.status, "与日志一致" in shown.out) == (0, True)


def test_a_replay_of_the_past_stops_there(nodes: dict[str, Path]) -> None:
    """By index of the journal; what looks at the past is not laid beside the present."""
    whole = run("audit", "replay", nodes["cq"], "--json").json
    part = run("audit", "replay", nodes["cq"], "--until", whole["next"] // 2, "--json")
    assert part.status == 0
    assert part.json["next"] == whole["next"] // 2
    assert 0 < part.json["steps"] < whole["steps"]
    assert run("audit", "replay", nodes["cq"], "--as-of", "2020-01-01", "--json").json["steps"] == 0
    assert run("audit", "replay", nodes["cq"], "--until", 3, "--follow").status == 2


def test_a_replay_follows_one_firm(nodes: dict[str, Path]) -> None:
    """Each change of its records, with the entry and the step of the journal."""
    _, subject = some_record(nodes["sc"])
    done = run("audit", "replay", nodes["sc"], "--subject", subject, "--json")
    touches = done.json["subject"]
    assert touches
    assert all("#" in each["entry"] and "/journal/" in each["journal"] for each in touches)
    shown = run("audit", "replay", nodes["sc"], "--subject", subject)
    assert touches[0]["record_id"] in shown.out


def believing(folder: Path) -> list[object]:
    """Both nodes' cards, as files, with the fingerprints that were typed in."""
    given: list[object] = []
    for name, peer in zip(NAMES, reversed(NAMES), strict=True):
        card = keyring(name).card_for(peer)
        (folder / f"{name}.card").write_text(card.to_text(), "utf-8")
        given += ["--card", folder / f"{name}.card", "--fingerprint", card.fingerprint()]
    return given


def test_both_sides_are_reconciled(nodes: dict[str, Path], tmp_path: Path) -> None:
    """Status 0, every lane, no ages; by nobody's cards the sides are consistent, and no more."""
    cards = believing(tmp_path)
    done = run("audit", "reconcile", nodes["cq"], nodes["sc"], *cards, "--json")
    assert (done.status, done.json["verdict"]) == (0, "PROVEN"), done.out
    assert [each.startswith("card ") for each in done.json["policy"]] == [True, True]
    assert len(done.json["lanes"]) == 6
    assert all(each["first_difference"] is None and not each["pending"] for each in done.json["lanes"])
    assert [each["proven"] for each in done.json["repairs"]] == [True]
    shown = run("audit", "reconcile", nodes["cq"], nodes["sc"], lang="zh")
    assert (shown.status, "内部一致, 来源未证实" in shown.out, "两地一致" in shown.out) == (3, True, True)
    assert run("audit", "reconcile", nodes["cq"], nodes["sc"], *cards[:2]).status == 2
    assert run("audit", "reconcile", nodes["cq"], nodes["cq"]).status == 2


def test_a_cut_tail_ends_in_a_bundle(nodes: dict[str, Path], tmp_path: Path) -> None:
    """Status 1, and a folder with the notes for whoever wants to check it without us."""
    with by_hand(database(nodes["sc"])) as connection:
        log, size = connection.execute(
            "SELECT id, size FROM logs WHERE use = 'mirror' AND origin LIKE '%/registry/1'"
        ).fetchone()
        for table, column in (("entries", "idx"), ("checkpoints", "size")):
            connection.execute(f"DELETE FROM {table} WHERE log_id = ? AND {column} >= ?", (log, size - 4))  # noqa: S608
        connection.execute("UPDATE logs SET size = ? WHERE id = ?", (size - 4, log))
    folder = tmp_path / "evidence"
    done = run("audit", "reconcile", nodes["cq"], nodes["sc"], "--evidence", folder, "--json")
    assert done.status == 1
    (finding,) = [each for each in done.json["findings"] if each["code"] == "TAIL_CUT"]
    assert finding["evidence"]["folder"] == str(folder / "001-TAIL_CUT")
    names = {path.name for path in (folder / "001-TAIL_CUT").iterdir()}
    assert {"note", "vkeys", "facts", "tlog-proof", "说明.txt"} <= names


def test_an_import_goes_into_an_empty_database_only(nodes: dict[str, Path], tmp_path: Path) -> None:
    """What is restored holds and replays; a second time nothing is written."""
    target = tmp_path / "restored"
    assert init(target, "cq").status == 0
    done = run("audit", "import", nodes["cq"], "--node", target / "node.toml", "--json")
    assert (done.status, done.json["findings"]) == (0, [])
    # Another seed: what it would make can not be found again by any key.
    assert (done.json["submissions"], done.json["not_restored"][:2]) == (None, ["submissions", "documents"])
    assert run("db", "verify", "-n", target / "node.toml", "--registers", "--json").json == {"findings": []}
    again = run("audit", "import", nodes["cq"], "--node", target / "node.toml")
    assert (again.status, "DATABASE_NOT_EMPTY" in again.err) == (1, True)
    assert run("audit", "import", nodes["sc"], "--node", target / "node.toml").status == 2
    assert run("audit", "import", nodes["sc"]).status == 2
    url = f"sqlite:///{tmp_path}/plain.db"
    shown = run("audit", "import", nodes["sc"], "--database", url, lang="zh")
    assert (shown.status, "未能恢复" in shown.out, "报送和幂等键" in shown.out) == (0, True, True)
    with sqlite3.connect(tmp_path / "plain.db") as connection:
        assert connection.execute("SELECT count(*) FROM reg_records").fetchone()[0] > 40


def test_an_import_into_the_same_node_brings_its_submissions_back(nodes: dict[str, Path], tmp_path: Path) -> None:
    """With the log seed that signed the material every key finds its submission again."""
    target = tmp_path / "restored"
    assert init(target, "cq").status == 0
    (target / "keys" / "log.seed").write_bytes(encode_seed(keyring("cq").seed))
    done = run("audit", "import", nodes["cq"], "--node", target / "node.toml", "--json")
    assert (done.status, done.json["not_restored"][0]) == (0, "documents")
    with by_hand(database(target / "node.toml")) as made, by_hand(database(nodes["cq"])) as original:
        query = "SELECT key_tag, request_tag, record_id, revision, addresses FROM submissions ORDER BY key_tag"
        rows = made.execute(query).fetchall()
        assert rows == original.execute(query).fetchall()
    assert done.json["submissions"] == len(rows) > 20


def test_a_register_changed_by_hand_is_found_by_its_node(nodes: dict[str, Path]) -> None:
    """``db verify --registers`` names the row, what the logs give, and what stands there."""
    seq, _ = some_record(nodes["sc"])
    with by_hand(database(nodes["sc"])) as connection:
        connection.execute("UPDATE reg_records SET level = 5 WHERE seq = ?", (seq,))
    done = run("db", "verify", "-n", nodes["sc"], "--registers", "--json")
    assert done.status == 1
    (finding,) = done.json["findings"]
    assert finding["reason"] == "REGISTER_ROW_DIFFERS"
    assert "level:" in finding["detail"]
    assert codes(run("audit", "replay", nodes["sc"], "--json")) == set()
