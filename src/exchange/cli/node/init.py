"""``init``: the folder of a new node, with its keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from exchange.app.passphrase import asker
from exchange.cli.node import key_files
from exchange.cli.options import JsonOption
from exchange.cli.output import Output
from exchange.cli.private_files import make_private_folder, refuse_existing, write_new
from exchange.cli.texts import t
from exchange.crypto.key_lock import KeyLock
from exchange.settings import parse
from exchange.settings.trust_folder import own_path


def init(
    folder: Annotated[Path, typer.Argument(help=t("option.node_folder"), file_okay=False)],
    *,
    name: Annotated[str, typer.Option("--name", help=t("option.node_name"))],
    domain: Annotated[str, typer.Option("--domain", help=t("option.domain"))],
    authority_uscc: Annotated[str, typer.Option("--authority-uscc", help=t("option.node_authority_uscc"))],
    authority_name: Annotated[str, typer.Option("--authority-name", help=t("option.node_authority_name"))],
    areas: Annotated[list[str], typer.Option("--area", help=t("option.node_area"))],
    duty_desk: Annotated[str, typer.Option("--duty-desk", help=t("option.duty_desk"))],
    data: Annotated[str, typer.Option("--data", help=t("option.data"))] = "data",
    peers: Annotated[list[str] | None, typer.Option("--peer", help=t("option.init_peer"))] = None,
    side: Annotated[str, typer.Option("--side", help=t("option.side"))] = "",
    lang: Annotated[str, typer.Option("--lang", help=t("option.node_lang"))] = "zh-CN",
    agencies: Annotated[str, typer.Option("--listen-agencies", help=t("option.listen_agencies"))] = "0.0.0.0:8443",
    listen_peers: Annotated[str, typer.Option("--listen-peers", help=t("option.listen_peers"))] = "0.0.0.0:9443",
    metrics: Annotated[str, typer.Option("--listen-metrics", help=t("option.listen_metrics"))] = "127.0.0.1:9464",
    sm2: Annotated[bool, typer.Option("--sm2", help=t("option.init_sm2"))] = False,
    passphrase: Annotated[str, typer.Option("--passphrase", help=t("option.init_passphrase"))] = "",
    ml_dsa: Annotated[bool, typer.Option("--ml-dsa", help=t("option.init_ml_dsa"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Make node.toml, keys (0600 in a folder 0700), certificate requests and an empty trust folder."""
    out = Output(as_json)
    text = _node_file(
        {
            "node": {
                "name": name,
                "domain": domain,
                "authority": {"uscc": authority_uscc, "name": authority_name},
                "data": data,
                "areas": areas,
                "duty_desk": duty_desk,
                "lang": lang,
            },
            "listen": {"agencies": agencies, "peers": listen_peers, "metrics": metrics},
            "keys": {
                **({"passphrase": passphrase} if passphrase else {}),
                **({"signing": ["file:keys/sign-p256.pem", "file:keys/sign-sm2.pem"]} if sm2 else {}),
                **({f"{use}_second": f"file:keys/{use}-mldsa.pem" for use in ("mirror", "witness")} if ml_dsa else {}),
            },
            "adapters": {"side": side} if side else {},
        },
        [peer.partition("=")[::2] for peer in peers or []],
    )
    node_file = folder / "node.toml"
    # Checked by the reader that will read it, before anything is written.
    settings = parse(text.encode(), node_file.absolute())
    refuse_existing(node_file)
    source = settings.keys.passphrase
    lock = KeyLock(asker(source, twice=True) if source is not None else None)
    lock.ready()
    folder.mkdir(parents=True, exist_ok=True)
    make_private_folder(settings.node.data)
    written = key_files.make_keys(settings, lock)
    own_path(settings.trust.folder).mkdir(parents=True, exist_ok=True)
    # Last: a folder with a node file is a whole one.
    write_new(node_file, text.encode(), mode=0o644)
    if out.as_json:
        out.value({"node_file": str(node_file), "written": [str(path) for path in written]})
        return
    out.table(("file",), [(path,) for path in (node_file, *written)], title=t("title.written"))
    out.say(t("message.init_next"))


def _node_file(sections: dict[str, dict[str, object]], peers: list[tuple[str, str]]) -> str:
    lines: list[str] = []
    for section, values in sections.items():
        if values:
            lines += [f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in values.items()), ""]
    for name, address in peers:
        lines += ["[[peer]]", f"name = {_toml(name)}", f"dial = {_toml(address)}", ""]
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    # JSON's strings and lists of strings are TOML's too.
    return json.dumps(value, ensure_ascii=False)
