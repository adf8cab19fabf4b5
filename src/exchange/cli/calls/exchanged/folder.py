"""``folder``: a folder between an office's own programs and the node: dropped, answered, arrived."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.adapter_set import adapters, find_adapter
from exchange.cli.folders.arrivals import Arrivals
from exchange.cli.folders.attached import Attached
from exchange.cli.folders.drops import Drops
from exchange.cli.folders.events import Events
from exchange.cli.folders.layout import Layout
from exchange.cli.folders.names import passing
from exchange.cli.folders.state import State
from exchange.cli.folders.watcher import Watcher
from exchange.cli.options import JsonOption, KindOption, ProfileOption, read_kind
from exchange.cli.output import Exit, Output, finish
from exchange.cli.sending.plan import Wishes
from exchange.cli.sending.sealing import node_of
from exchange.cli.sending.send import Sender
from exchange.cli.texts import choose_language, reason_text, t, word
from exchange.rpc.profile import Profile, find_profile, load_profile
from exchange.v1.common_pb2 import Authority

if TYPE_CHECKING:
    from exchange.domain.adapter import Adapter

app = typer.Typer(help=t("help.folder"), no_args_is_help=True)

PATIENCE_S: Final = 5.0
"""Seconds for which a call is made again at once; after that the file waits for its next turn."""

FORMS: Final = ("xlsx", "csv", "json")

FolderArgument = Annotated[Path, typer.Argument(help=t("option.watched_folder"), metavar="DIR", file_okay=False)]


@app.command("watch", help=t("help.folder_watch"))
def watch(
    folder: FolderArgument,
    profile: ProfileOption = None,
    *,
    once: Annotated[bool, typer.Option("--once", help=t("option.once"))] = False,
    kind: KindOption = "",
    adapter: Annotated[str, typer.Option("--adapter", help=t("option.adapter_or_any"))] = "",
    addressees: Annotated[list[str] | None, typer.Option("--addressee", "-a", help=t("option.addressee"))] = None,
    local_only: Annotated[bool, typer.Option("--local-only", help=t("option.local_only"))] = False,
    purpose: Annotated[str, typer.Option("--purpose", help=t("option.record_purpose"))] = "",
    authority_uscc: Annotated[str, typer.Option("--authority-uscc", help=t("option.authority_uscc"))] = "",
    authority_name: Annotated[str, typer.Option("--authority-name", help=t("option.authority_name"))] = "",
    layout: Annotated[str, typer.Option("--layout", help=t("option.arrivals_layout"))] = "",
    form: Annotated[str, typer.Option("--form", help=t("option.arrivals_form"))] = FORMS[0],
    settle: Annotated[float, typer.Option("--settle", help=t("option.settle"), min=0.1, max=3600)] = 2.0,
    min_free: Annotated[int, typer.Option("--min-free", help=t("option.min_free"), min=1)] = 256,
    keep_days: Annotated[
        int | None, typer.Option("--keep-days", help=t("option.keep_days"), min=1, max=36500, show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch a folder until SIGTERM or Ctrl-C; with ``--once`` until everything that lies there was handled."""
    out = Output(as_json)
    if local_only and addressees:
        raise typer.BadParameter(t("message.local_or_addressee"))
    if form not in FORMS:
        raise typer.BadParameter(t("message.unknown_choice", name=form, known=", ".join(FORMS)))
    chosen = load_profile(find_profile(profile, os.environ))
    choose_language(chosen.lang)
    authority = Authority(uscc=authority_uscc, name=authority_name) if authority_uscc or authority_name else None
    wishes = Wishes(
        adapter=adapter,
        kind=read_kind(kind),
        addressees=tuple(addressees or ()),
        local_only=local_only,
        purpose=purpose,
        authority=authority,
    )
    place, events = Layout(folder), Events(out)
    folder.mkdir(parents=True, exist_ok=True)
    with place.held():
        place.prepare()
        state = State(place.state)
        watcher = Watcher(
            layout=place,
            state=state,
            drops=Drops(place, state, events),
            arrivals=Arrivals(place, events, _layout(layout, chosen), form, Attached(place, state, events)),
            events=events,
            connect=lambda: _connect(chosen),
            sender=lambda client: Sender(client, wishes, patience=PATIENCE_S),
            settle=settle,
            min_free=min_free << 20,
            keep=timedelta(days=keep_days) if keep_days is not None else None,
        )
        with _on_signals(watcher.stopping.set):
            if once:
                watcher.once()
            else:
                watcher.run()
        if once and (state.files or state.paused[0]):
            finish(Exit.FINDING)


@app.command("status", help=t("help.folder_status"))
def status(folder: FolderArgument, *, as_json: JsonOption = False) -> None:
    """Show what waits and what was refused; exit status 1 when something was, or the watcher pauses."""
    out = Output(as_json)
    place = Layout(folder)
    state = State(place.state)
    held = state.files
    lying = sorted(path.name for path in place.drop.iterdir()) if place.drop.is_dir() else []
    fresh = [name for name in lying if name not in held and not passing(name)]
    since, detail = state.paused
    if out.as_json:
        files = [
            {"file": name, "state": each.state, "since": each.since, "reason": each.reason, "detail": each.detail}
            for name, each in sorted(held.items())
        ]
        files += [{"file": name, "state": "NEW", "since": "", "reason": "", "detail": ""} for name in fresh]
        wanted = sorted(state.wanted)
        out.value({"files": files, "attachments": wanted, "paused_since": since, "paused": detail})
    rows = [
        (name, word("folder_state", each.state), each.since, each.reason, reason_text(each.reason).message, each.detail)
        for name, each in sorted(held.items())
    ]
    rows += [(name, word("folder_state", "NEW"), "", "", "", "") for name in fresh]
    if since:
        out.say(t("message.folder_paused", since=since, detail=detail), style="bold red")
    if rows:
        out.table(("file", "state", "since", "reason", "meaning", "detail"), rows, title=t("title.folder"))
    else:
        out.say(t("message.folder_empty"))
    if state.wanted:
        out.say(t("message.folder_wanted", count=len(state.wanted)))
    finish(Exit.FINDING if since or any(each.state == "REFUSED" for each in held.values()) else Exit.DONE)


def _layout(named: str, profile: Profile) -> Adapter | None:
    """In whose layout arrivals are written: as named, else our own region's; None where there is no adapter for it."""
    if named:
        return find_adapter(named)
    own = node_of(profile.cert).partition(".")[0]
    return next((each for each in adapters().values() if each.side == own), None)


@contextmanager
def _on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and Ctrl-C end what is in flight first."""
    before = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _connect(profile: Profile) -> Any:
    from exchange.rpc.client import Client  # noqa: PLC0415  (--help starts without gRPC)

    return Client(profile)
