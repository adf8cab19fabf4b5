"""The report of an audit, looked at in a browser: what it shows, and that no text of the disk becomes markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.cli.audit.folder.reporting.markup import tag
from exchange.cli.texts import word
from exchange.v1.journal_pb2 import JournalEntry
from tests.audit.material import Material
from tests.cli.conftest import run
from tests.domain import records
from tests.rigs.chromium import Chromium, ChromiumMissingError

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"


class Seen(HTMLParser):
    """Texts and elements of a document."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count an element, and remember where a named one begins."""
        self.tags.append(tag)
        name = dict(attrs).get("id")
        if name:
            self.ids[name] = ""
            self._open.append(name)

    def handle_data(self, data: str) -> None:
        """Add text to the section that it stands in."""
        if self._open:
            self.ids[self._open[-1]] += data


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Chromium:
    """A browser; skips as ``chromium-missing``."""
    try:
        return Chromium.find(tmp_path_factory.mktemp("browser"))
    except ChromiumMissingError as missing:
        pytest.skip(f"chromium-missing: {missing}")


def test_a_reader_sees_claims_keys_life_and_a_firms_records(
    material: Material, browser: Chromium, tmp_path: Path
) -> None:
    """In Chinese: verdict, nine claims, who signed, a drawing for each log, counts, one firm's records; no script."""
    page, firm = tmp_path / "report.html", records.make_uscc(9_002)
    done = run(
        "audit", "report", material.export("cq"), "-o", page, "--subject", firm, *material.believing(), lang="zh"
    )
    assert done.status == 3, done.err  # registers and the unit's own list are not proven by a folder alone
    seen = Seen(browser.dom(page))
    assert seen.ids["verdict"].startswith("未发现不成立之处；部分依现有材料无法证明")
    assert (seen.ids["claims"].count("已证明"), seen.ids["claims"].count("无法证明")) == (7, 2)
    assert "cq.exchange.example/mirror" in seen.ids["heads"]
    assert seen.ids["keys"].count("签名") == 2
    assert seen.tags.count("svg") == 6
    assert re.search(r"信用评价结果\s*300", seen.ids["recognition"])
    assert "未发现问题" in seen.ids["findings"]
    assert "登记步" in seen.ids["journal"]
    assert "首个纪元" in seen.ids["events"]
    assert "信用评价结果" in seen.ids[f"subject-{firm}"]
    assert not {"script", "link", "img", "iframe", "object"} & set(seen.tags)
    picture = browser.picture(page, tmp_path / "page.png")
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(picture) > 40_000  # an empty page of this size has a tenth of that


def test_what_is_found_is_numbered_with_place_and_proof(material: Material, browser: Chromium, tmp_path: Path) -> None:
    """One changed byte: the finding names entry, file and digests; hostile text of the disk stays text."""
    folder = material.copy_of("cq", tmp_path / "copy")
    bundle = folder / "logs/cq.exchange.example/to/sc/registry/1/tile/entries/000"
    data = bytearray(bundle.read_bytes())
    data[5_000] ^= 1
    bundle.write_bytes(data)
    about = json.loads((folder / "export.json").read_text("utf-8"))
    about["scope"]["note"] = HOSTILE
    (folder / "export.json").write_text(json.dumps(about, ensure_ascii=False, sort_keys=True, indent=1) + "\n", "utf-8")
    page = tmp_path / "report.html"
    done = run("audit", "report", folder, "-o", page, *material.believing(), lang="en")
    assert done.status == 1
    html = browser.dom(page)
    seen = Seen(html)
    assert "REFUTED" not in seen.ids["verdict"]
    assert "Something is refuted" in seen.ids["verdict"]
    assert "finding-1" in seen.ids
    assert "ENTRY_CHANGED" in html
    assert "tile/entries/000 @" in html
    assert "every log, note &lt;" in html
    assert not {"script", "img"} & set(seen.tags)
    assert "owned" not in re.findall("<title>(.*?)</title>", html)[0]


def test_every_line_of_a_journal_has_a_name_for_people() -> None:
    """In both languages: a new event without one would be counted under its field's name."""
    for field in JournalEntry.DESCRIPTOR.oneofs_by_name["event"].fields:
        assert field.name not in {word("journal_line", field.name, lang) for lang in ("zh", "en")}


@given(st.text(), st.text())
def test_no_text_breaks_out_of_its_element(text: str, attribute: str) -> None:
    """Whatever it holds, an element has one tag, one attribute, and that text."""
    read = Seen(tag("div", text, id="x" + attribute, title=attribute))
    assert read.tags == ["div"]
    assert len(read.ids) == 1
