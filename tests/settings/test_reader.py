"""The node file: what it may say, and how its mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.settings import DEFAULT, NodeSettings, SettingsError, explain, load, parse

MINIMAL = """
[node]
name = "cq"
domain = "exchange.example"
authority = { uscc = "11500000MB1614741U", name = "重庆市生态环境局" }
data = "data"

[[peer]]
name = "sc"
dial = "sc-node.example:9443"
"""


def read(text: str, folder: Path = Path("/srv/cq")) -> NodeSettings:
    """The settings of a node file in that folder."""
    return parse(text.encode(), folder / "node.toml")


def mistakes(text: str) -> dict[str, str]:
    """Reason by key path."""
    with pytest.raises(SettingsError) as caught:
        read(text)
    return {problem.place.split()[-1]: problem.reason for problem in caught.value.problems}


def test_minimal_file_has_every_default() -> None:
    """Four keys and a peer are enough; the rest has its named default."""
    settings = read(MINIMAL)
    assert settings.listen.peers.port == 9443
    assert settings.limits.batch_items == 1_000
    assert settings.recognition.require_approvals is True
    assert settings.peers[0].require == ("ES256",)
    assert settings.federation == "exchange.example"


def test_relative_paths_resolve_against_file_and_data() -> None:
    """The database counts from node.data, everything else from the node file's folder."""
    settings = read(MINIMAL)
    assert settings.database.url == "sqlite:////srv/cq/data/exchange.db"
    assert settings.trust.folder == Path("/srv/cq/trust")
    assert settings.keys.log.path == Path("/srv/cq/keys/log.seed")
    assert settings.node.data == Path("/srv/cq/data")


def test_every_mistake_is_named_with_its_line() -> None:
    """All mistakes come out of one pass, each with its line."""
    text = MINIMAL + '\n[limits]\nwatcherz = 3\nbatch_items = 0\n[listen]\nmetrics = "0.0.0.0:9464"\npeers = 3\n'
    with pytest.raises(SettingsError) as caught:
        read(text)
    places = [problem.place for problem in caught.value.problems]
    assert places == [
        "node.toml:13 limits.watcherz",
        "node.toml:14 limits.batch_items",
        "node.toml:16 listen.metrics",
        "node.toml:17 listen.peers",
    ]
    assert "watchers" in caught.value.problems[0].detail


def replaced(old: str, new: str) -> str:
    """The minimal file with one thing changed."""
    assert old in MINIMAL
    return MINIMAL.replace(old, new)


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("[node", "node.toml", "SETTINGS_UNREADABLE"),
        (replaced('name = "cq"\n', ""), "node.name", "SETTING_MISSING"),
        (replaced('name = "cq"', 'name = "CQ"'), "node.name", "SETTING_VALUE"),
        (replaced('"exchange.example"', '"Exchange"'), "node.domain", "SETTING_VALUE"),
        (replaced("741U", "741V"), "node.authority.uscc", "SETTING_VALUE"),
        (replaced("741U", "741W"), "node.authority.uscc", "SETTING_VALUE"),
        (replaced('"data"', '""'), "node.data", "SETTING_VALUE"),
        (replaced(":9443", ""), "peer[0].dial", "SETTING_VALUE"),
        (replaced(":9443", ":99999"), "peer[0].dial", "SETTING_VALUE"),
        (replaced('dial = "sc-node.example:9443"\n', ""), "peer[0].dial", "SETTING_MISSING"),
        (MINIMAL + 'transport = "folder"\nfolder = "f"\n', "peer[0].dial", "SETTING_VALUE"),
        (MINIMAL + 'folder = "f"\n', "peer[0].folder", "SETTING_VALUE"),
        (replaced('dial = "sc-node.example:9443"', 'transport = "folder"'), "peer[0].folder", "SETTING_MISSING"),
        (MINIMAL + 'transport = "mail"\n', "peer[0].transport", "SETTING_VALUE"),
        (replaced('name = "sc"', 'name = "cq"'), "peer[0].name", "SETTING_VALUE"),
        (MINIMAL + '[[peer]]\nname = "sc"\ndial = "x:1"\n', "peer[1].name", "SETTING_VALUE"),
        (MINIMAL + 'require = ["RS256"]\n', "peer[0].require", "SETTING_VALUE"),
        (MINIMAL + '[keys]\nmirror = "file:k.pem"\nwitness = "file:k.pem"\n', "keys.witness", "KEY_SHARED"),
        (MINIMAL + '[keys]\ntls = "pkcs11:x"\n', "keys.tls", "SETTING_VALUE"),
        (MINIMAL + "[keys]\nsigning = []\n", "keys.signing", "SETTING_VALUE"),
        (MINIMAL + '[keys]\nsigning = "file:x"\n', "keys.signing", "SETTING_TYPE"),
        (MINIMAL + "[limits]\nwatchers = true\n", "limits.watchers", "SETTING_TYPE"),
        (MINIMAL + "[limits]\nwatchers = 5001\n", "limits.watchers", "SETTING_RANGE"),
        (MINIMAL + "[delivery]\nretry_min_ms = 49\n", "delivery.retry_min_ms", "SETTING_RANGE"),
        (MINIMAL + "[delivery]\nretry_min_ms = 900\nretry_max_ms = 800\n", "delivery.retry_max_ms", "SETTING_RANGE"),
        (MINIMAL + "[timestamps]\nurl = 'http://tsa.example/'\n", "timestamps.roots", "SETTING_MISSING"),
        (MINIMAL + "[timestamps]\nurl = 'ftp://tsa.example/'\nroots = 'r.pem'\n", "timestamps.url", "SETTING_VALUE"),
        (MINIMAL + "[journal]\nwitness_interval_s = 61\n", "journal.witness_interval_s", "SETTING_RANGE"),
        (MINIMAL + "[disk]\nurgent_below = 9999999999\n", "disk", "SETTING_RANGE"),
        (MINIMAL + '[database]\nurl = "mysql://x/y"\n', "database.url", "SETTING_VALUE"),
        (MINIMAL + '[log]\nformat = "xml"\n', "log.format", "SETTING_VALUE"),
        (MINIMAL + '[alarms]\ncommand = "mail"\n', "alarms.command", "SETTING_TYPE"),
        (MINIMAL + "[recognision]\n", "recognision", "SETTING_UNKNOWN"),
        (MINIMAL + 'colour = "red"\n', "peer[0].colour", "SETTING_UNKNOWN"),
        ("peer = 3\n" + MINIMAL.partition("[[peer]]")[0], "peer", "SETTING_TYPE"),
        ("node = 3\n", "node", "SETTING_TYPE"),
        ('name = "\\u0007"', "name", "SETTING_UNKNOWN"),
    ],
)
def test_mistake(text: str, key: str, reason: str) -> None:
    """Each sort of mistake has its reason and its key."""
    assert mistakes(text).get(key) == reason or (key == "node.toml" and reason in mistakes(text).values())


def test_a_peer_that_dials_us_has_no_address() -> None:
    """With pull the address says who dials; the way to each peer follows from both."""
    pulled = replaced('dial = "sc-node.example:9443"', 'transport = "pull"')
    assert (read(pulled).peers[0].reaches_by, read(pulled).peers[0].dial) == ("pulled", None)
    assert read(MINIMAL + 'transport = "pull"\n').peers[0].reaches_by == "pull"
    assert read(MINIMAL).peers[0].reaches_by == "push"


def test_areas_are_prefixes_of_2_4_or_6_digits() -> None:
    """Competence is written as prefixes; other lengths and other characters are mistakes."""
    text = replaced('data = "data"', 'data = "data"\nareas = ["50", "5101", "510100"]')
    assert read(text).node.areas == ("50", "5101", "510100")
    for wrong in ("500", "*", "５０", ""):
        bad = replaced('data = "data"', f'data = "data"\nareas = ["{wrong}"]')
        assert mistakes(bad) == {"node.areas": "SETTING_VALUE"}


def test_explain_says_where_each_value_came_from() -> None:
    """A written value names its line, the others say that they are defaults; every row of a default says why."""
    text = MINIMAL + '[limits]\nwatchers = 50\n[database]\nurl = "postgresql://u:geheim@h/d"\n'
    rows = {row.key: row for row in explain(read(text))}
    assert rows["limits.watchers"].value == "50"
    assert rows["limits.watchers"].source == "node.toml:12"
    assert rows["limits.batch_items"].source == DEFAULT
    assert rows["node.authority.uscc"].source == "node.toml:5"
    assert rows["peer[0].dial"].value == "sc-node.example:9443"
    assert "geheim" not in rows["database.url"].value
    assert all(row.why for row in rows.values() if row.source == DEFAULT)


def test_unreadable_file_is_a_mistake(tmp_path: Path) -> None:
    """A file that is not there is named like any other mistake."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "node.toml")
    assert caught.value.reason == "SETTINGS_UNREADABLE"
