"""Offline commands: codes, reasons, packets, adapters, certificates."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pytest
from typer.testing import CliRunner

import exchange_chongqing
from exchange.cli.main import app
from exchange.crypto.keys import KeyFile, encode_private, generate_rsa
from exchange.crypto.x509.certificates import facts_of, load_chain
from exchange.crypto.x509.chains import Purpose, verify_chain
from exchange.crypto.x509.pki_request import make_request
from exchange.crypto.x509.revocation import Revocations
from exchange_hj212 import frame_bytes
from tests.cli.conftest import init, run

PACKET = (
    b"QN=20260301081000001;ST=32;CN=2051;PW=123456;MN=01000001000A000000000A01;Flag=4;"
    b"CP=&&DataTime=20260301080000;w01018-Avg=38.20,w01018-Flag=N&&"
)


def test_inspect_says_kind_validity_and_reasons() -> None:
    """One object a code, in the order asked; exit status 1 when one is not valid."""
    done = run("inspect", "11500000MB1614741U", "11500000MB1614741W", "500000", "--json")
    assert done.status == 1
    assert done.lines[0] == {"code": "11500000MB1614741U", "kind": "USCC", "valid": True, "reasons": []}
    assert done.lines[1]["reasons"] == ["USCC_CHECK"]
    assert done.lines[2]["kind"] == "AREA"
    assert run("inspect", "11500000MB1614741U").status == 0


def test_inspect_of_what_is_no_text() -> None:
    """Bytes that a terminal could not show, as a shell passes them on, are a code of no kind."""
    (line,) = run("inspect", "\udcff", "--json").lines
    assert (line["kind"], line["reasons"]) == ("UNKNOWN", ["CODE_UNKNOWN"])


def test_explain_speaks_both_languages() -> None:
    """Message and remedy of a code in Chinese and English; an unknown code is a finding."""
    done = run("explain", "USCC_CHECK", "--json")
    assert sorted(done.json[0]) == ["en", "reason", "zh"]
    assert done.json[0]["zh"]["remedy"]
    assert run("explain", "NOPE").status == 1


def test_explain_shows_how_dates_are_computed(tmp_path: Path) -> None:
    """Publicity by the rule of the day; a repair's working days; a year without a calendar can not be decided."""
    shown = run("explain", "--decided-on", "2025-11-30", "--class", "general", "--json")
    assert shown.status == 0
    assert shown.json["repair_rule"] == "国办发〔2025〕22号"
    assert shown.json["publicity"][0]["publicity_min_until"] == "2026-02-28"
    assert run("explain", "--decided-on", "2020-01-01").status == 1
    due = run("explain", "--granted-on", "2026-09-29", "--json")
    assert (due.status, due.json["due_by"]) == (0, "2026-10-09")
    assert due.json["holidays_between"]["2026-10-01"] == "国庆节"
    missing = run("explain", "--granted-on", "2026-12-30", "--json")
    assert (missing.status, missing.json["error"]["reason"]) == (3, "CALENDAR_MISSING")
    day_off = '{ name = "元旦", from = "2027-01-01", until = "2027-01-01" }'
    calendar = f'year = 2027\nsource = "演示"\nstatus = "演示"\noff = [{day_off}]\n'
    (tmp_path / "calendar_2027.toml").write_text(calendar, "utf-8")
    added = run("explain", "--granted-on", "2026-12-30", "--tables", tmp_path, "--json")
    assert added.json["due_by"] == "2027-01-05"
    assert run("explain").status == 2
    assert run("explain", "--decided-on", "2025-11-30", "--class", "WORST").status == 2


def test_the_sharing_catalogue_is_listed_and_exported(tmp_path: Path) -> None:
    """As shipped, or a region's own in its place; the workbook has its rows and the items of each kind."""
    rows = run("catalogue", "list", "--json").json["entries"]
    credit = next(row for row in rows if row["kind"] == "CreditResult")
    assert (credit["catalogue_no"], credit["share_class"], credit["frequency"]) == (
        "ENV-CREDIT-RESULT",
        "CONDITIONAL",
        "YEARLY",
    )
    book = tmp_path / "catalogue.xlsx"
    assert run("--lang", "en", "catalogue", "export", book).status == 0
    sheets = openpyxl.load_workbook(book)
    catalogue = [[cell.value for cell in row] for row in sheets["共享目录"].rows]
    assert len(catalogue) == len(rows) + 2
    assert catalogue[2][0] == "ENV-CREDIT-RESULT"
    assert catalogue[2][4] == "有条件共享"
    items = [[cell.value for cell in row] for row in sheets["信息项"].rows]
    assert ["ENV-CREDIT-RESULT", credit["title"], "evaluation_year", "数值型", "否"] in items
    (tmp_path / "sharing_catalogue.toml").write_text('edition = "9"\nsource = "演示"\nstatus = "演示"\n', "utf-8")
    own = run("catalogue", "list", "--tables", tmp_path, "--json").json
    assert (own["edition"], own["entries"]) == ("9", [])


def test_hj212_decode_prints_a_line_for_each_packet(tmp_path: Path) -> None:
    """Values as received, the password never; a packet with problems is a finding."""
    good = tmp_path / "good.txt"
    good.write_bytes(frame_bytes(PACKET) * 2)
    done = run("hj212", "decode", good, "--json")
    assert done.status == 0
    assert len(done.lines) == 2
    packet = done.lines[0]
    assert (packet["edition"], packet["crc_verdict"], packet["problems"]) == ("2017", "ANNEX_A", [])
    assert packet["readings"] == [{"factor": "w01018", "item": "Avg", "value": "38.20", "flag": "N"}]
    assert packet["data_time"] == "20260301080000"
    shown = run("hj212", "decode", good)
    assert len(shown.out.splitlines()) == 2
    bad = tmp_path / "bad.txt"
    bad.write_bytes(frame_bytes(PACKET).replace(b"38.20", b"38.21"))
    spoilt = run("hj212", "decode", bad, "--json")
    assert spoilt.status == 1
    assert spoilt.lines[0]["crc_verdict"] == "BAD"
    for each in (done, shown, spoilt):
        assert "123456" not in each.out


def test_a_recording_comes_from_the_standard_input(tmp_path: Path) -> None:
    """``-`` reads what is piped in; a file that is not there is refused by name."""
    piped = CliRunner().invoke(app, ["hj212", "decode", "-", "--json"], input=frame_bytes(PACKET))
    assert (piped.exit_code, json.loads(piped.stdout)["crc_verdict"]) == (0, "ANNEX_A")
    missing = run("hj212", "decode", tmp_path / "none.txt")
    assert (missing.status, "none.txt" in missing.err) == (1, True)


@pytest.mark.parametrize("key", ["zz", "00", "00" * 17])
def test_a_key_that_is_none_is_usage(tmp_path: Path, key: str) -> None:
    """An SM4 key is 32 hex digits."""
    (tmp_path / "x").write_bytes(b"##")
    assert run("hj212", "decode", tmp_path / "x", "--key", key).status == 2


def test_adapters_are_listed_and_held_to_their_laws() -> None:
    """Both regions are there, and keep every law on their own samples."""
    listed = {row["name"]: row for row in run("adapters", "list", "--json").json["adapters"]}
    assert {"chongqing", "sichuan"} <= listed.keys()
    assert "PenaltyNotice" in listed["chongqing"]["kinds"]
    done = run("adapters", "test", "sichuan", "--json")
    assert done.status == 0
    assert {law["adapter"] for law in done.json["laws"]} == {"sichuan"}
    assert run("adapters", "test", "nowhere").status == 2


def test_adapters_convert_reads_one_side_and_writes_the_other(tmp_path: Path) -> None:
    """Records as JSON, one a line; or straight into the other side's layout, with what it can not carry."""
    sample = Path(exchange_chongqing.__file__).parent / "samples" / "penalties.json"
    records = tmp_path / "records.jsonl"
    read = run("adapters", "convert", "chongqing", sample, "-o", records, "--json")
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    assert len(lines) == read.json["records"] > 0
    assert "penalty_notice" in lines[0]
    other = tmp_path / "sichuan.xlsx"
    written = run("adapters", "convert", "chongqing", sample, "--to", "sichuan", "-o", other, "--json")
    assert written.json["records"] == len(lines)
    again = run("adapters", "convert", "sichuan", other, "-o", tmp_path / "again.jsonl", "--json")
    assert again.json["records"] == len(lines)


def test_adapters_template_is_an_empty_form(tmp_path: Path) -> None:
    """A workbook with headings."""
    form = tmp_path / "form.xlsx"
    assert run("adapters", "template", "CreditResult", "--adapter", "sichuan", "-o", form).status == 0
    assert form.read_bytes().startswith(b"PK")
    assert run("adapters", "template", "Nope", "--adapter", "sichuan").status == 2


def openssl(*arguments: object) -> str:
    """What the openssl command prints."""
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout + done.stderr


def test_dev_certificates_are_what_openssl_thinks_they_are(regions: Path) -> None:
    """Chain, identity and key kind, by a tool that is not ours."""
    clients = regions / "cq" / "clients"
    leaf, chain = clients / "agency-bureau.pem", clients / "agency-bureau.pem"
    assert "OK" in openssl("verify", "-CAfile", clients / "ca.pem", "-untrusted", chain, leaf)
    text = openssl("x509", "-in", leaf, "-noout", "-ext", "subjectAltName")
    assert "spiffe://cq.exchange.example/agency/bureau" in text
    assert "prime256v1" in openssl("x509", "-in", regions / "cq/keys/tls.pem", "-noout", "-text")
    assert openssl("pkey", "-in", clients / "agency-bureau.key", "-noout", "-text").count("Private-Key")


def test_dev_set_is_never_written_over(regions: Path) -> None:
    """A second run is refused before it writes anything."""
    before = (regions / "cq/keys/tls.pem").read_bytes()
    assert run("pki", "dev", regions, "--node", "cq").status == 1
    assert (regions / "cq/keys/tls.pem").read_bytes() == before


def test_rsa_is_for_roots_and_clients_only(tmp_path: Path) -> None:
    """The server's leaf stays EC: the TLS floor rests on it."""
    assert run("pki", "dev", tmp_path, "--node", "cq", "--rsa").status == 0
    assert "rsaEncryption" in openssl("x509", "-in", tmp_path / "cq/clients/operator.pem", "-noout", "-text")
    assert "id-ecPublicKey" in openssl("x509", "-in", tmp_path / "cq/keys/tls.pem", "-noout", "-text")


def test_an_sm2_signing_certificate_stands_beside_the_other(tmp_path: Path) -> None:
    """With `--sm2`: an authority, a key file and a root of its own; TLS stays EC; it issues and revokes."""
    assert run("pki", "dev", tmp_path, "--node", "cq", "--sm2").status == 0
    folder = tmp_path / "cq"
    assert "SM2" in openssl("x509", "-in", folder / "keys/sign-sm2.pem", "-noout", "-text")
    assert "prime256v1" in openssl("x509", "-in", folder / "keys/sign-p256.pem", "-noout", "-text")
    assert "prime256v1" in openssl("x509", "-in", folder / "keys/tls.pem", "-noout", "-text")
    assert (folder / "trust/own/signing-roots.pem").read_text().count("BEGIN CERTIFICATE") == 2
    assert init(folder, "cq", "--sm2").status == 0
    assert run("config", "validate", folder / "node.toml").status == 0
    ca = folder / "ca/signing-sm2"
    whose = ("--ca", ca, "--node", "cq", "--domain", "exchange.example")
    assert run("pki", "issue", "signing", "cq", *whose, "-o", tmp_path / "next.pem").status == 0
    assert run("pki", "crl", "--ca", ca, "-o", tmp_path / "crl.pem", "--revoke", tmp_path / "next.pem").status == 0
    found = Revocations.load((tmp_path / "crl.pem").read_bytes(), load_chain((ca / "ca.pem").read_bytes())[-1:])
    assert found.revoked_at(load_chain(KeyFile.parse((tmp_path / "next.pem").read_bytes()).chain)) is not None
    assert run("pki", "issue", "agency", "a", *whose, "-o", tmp_path / "agency.pem").status == 1


def test_init_makes_the_sm2_key_and_its_request(tmp_path: Path) -> None:
    """Without a key there, one is made; the region's authority answers the request."""
    assert init(tmp_path / "cq", "cq", "--sm2").status == 0
    request = tmp_path / "cq/keys/sign-sm2.request.pem"
    openssl("req", "-verify", "-noout", "-vfyopt", "distid:1234567812345678", "-in", request)


def issue(regions: Path, output: Path, role: str, *more: object) -> int:
    """Issues a certificate of cq."""
    return run(
        "pki", "issue", role, "x", "--ca", regions / "cq" / "ca" / "tls", "--node", "cq", "--domain",
        "exchange.example", "-o", output, *more,
    ).status  # fmt: skip


def test_issue_makes_each_role_and_nothing_else(regions: Path, tmp_path: Path) -> None:
    """Identity by role; a server needs a host; files are never written over; keys are the owner's alone."""
    for role in ("agency", "operator", "security", "auditor", "node"):
        output = tmp_path / f"{role}.pem"
        assert issue(regions, output, role) == 0
        assert output.stat().st_mode & 0o077 == 0
        assert f"/{role}/x" in openssl("x509", "-in", output, "-noout", "-ext", "subjectAltName")
    assert issue(regions, tmp_path / "agency.pem", "agency") == 1
    assert issue(regions, tmp_path / "s.pem", "server") == 1
    assert issue(regions, tmp_path / "s.pem", "server", "--host", "node.example") == 0
    assert issue(regions, tmp_path / "k.pem", "king") == 2


def test_revocation_lists_only_grow(regions: Path, tmp_path: Path) -> None:
    """Each list has the next number and all that was revoked before, at its first instant."""
    ca = tmp_path / "ca"
    ca.mkdir()
    for name in ("ca.key", "ca.pem"):
        (ca / name).write_bytes((regions / "cq/ca/tls" / name).read_bytes())
    clients = regions / "cq" / "clients"
    output = tmp_path / "crl.pem"
    at = "2026-01-02T03:04:05+08:00"
    first = run("pki", "crl", "--ca", ca, "--revoke", clients / "auditor.pem", "--at", at, "-o", output, "--json")
    assert first.json["number"] == 1
    again = ["--revoke", clients / "operator.pem", "--revoke", clients / "auditor.pem"]
    second = run("pki", "crl", "--ca", ca, *again, "-o", output, "--json")
    assert second.json["number"] == 2
    assert len(second.json["revoked"]) == 2
    text = openssl("crl", "-in", output, "-noout", "-text")
    assert text.count("Serial Number") == 2
    assert "Jan  1 19:04:05 2026 GMT" in text
    assert run("pki", "crl", "--ca", ca, "--at", "yesterday", "-o", output).status == 2


def test_pki_makes_authorities_of_both_kinds_and_certificates_under_them(tmp_path: Path) -> None:
    """A root, an intermediate below it, and what they issue lead to the root; no server gets an RSA key in any way."""
    for kind, more in (("EC P-256", ()), ("RSA 3072", ("--rsa",))):
        root, below = tmp_path / kind / "root", tmp_path / kind / "below"
        assert run("pki", "authority", "Root", "-o", root, *more, "--json").json["key"] == kind
        made = run("pki", "authority", "Issuing", "--ca", root, "-o", below, *more, "--json")
        assert made.json["key"] == kind
        assert (below / "ca.key").stat().st_mode & 0o777 == 0o600
        assert run("pki", "authority", "Again", "-o", root).status == 1
        about = ("--ca", below, "--node", "cq", "--domain", "exchange.example")
        client = tmp_path / kind / "client.pem"
        assert run("pki", "issue", "agency", "bureau", *about, "-o", client, *more).status == 0
        server = tmp_path / kind / "server.pem"
        assert run("pki", "issue", "server", "cq", *about, "--host", "localhost", "-o", server).status == 0
        roots = load_chain((root / "ca.pem").read_bytes())
        for file, purpose in ((client, Purpose.CLIENT), (server, Purpose.SERVER)):
            leaf, *others = load_chain(KeyFile.parse(file.read_bytes()).chain)
            assert verify_chain(leaf, others, roots, datetime.now(UTC), purpose).ok
        assert facts_of(load_chain(KeyFile.parse(client.read_bytes()).chain)[0]).key == kind
        assert facts_of(load_chain(KeyFile.parse(server.read_bytes()).chain)[0]).key == "EC P-256"
    asked = tmp_path / "asked.csr"
    asked.write_bytes(make_request(encode_private(generate_rsa(2048)), "server"))
    for refused_option in (["--rsa"], ["--request", asked]):
        refused = run(
            "pki", "issue", "server", "cq", *about, "--host", "localhost", *refused_option, "-o", tmp_path / "no.pem"
        )
        assert (refused.status, (tmp_path / "no.pem").exists()) == (1, False)


def test_shipped_lifetimes_are_those_of_certs() -> None:
    """certs/profile.toml is what pki uses unless told otherwise."""
    root = Path(__file__).parents[2]
    shipped = root / "src" / "exchange" / "cli" / "tables" / "pki_profile.toml"
    assert shipped.read_bytes() == (root / "certs" / "profile.toml").read_bytes()
