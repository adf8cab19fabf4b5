"""``lanes``: what travels to and from each peer, and how to stop and mend it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from exchange.cli.calls.operating.status import LANE_HEADINGS, lane_cells
from exchange.cli.calls.security.actions import print_waiting
from exchange.cli.calls.shown import words
from exchange.cli.options import JsonOption, ProfileOption, ReasonOption, client, read_lane
from exchange.cli.output import Output, Undecidable, as_dict, moment
from exchange.cli.texts import t
from exchange.v1.operation_service_pb2 import (
    GetStatusRequest,
    LaneStatus,
    PauseLaneRequest,
    PeerStatus,
    ResumeLaneRequest,
    RetireLaneRequest,
    RetryLaneRequest,
)

app = typer.Typer(help=t("help.lanes"), no_args_is_help=True)

PeerArgument = Annotated[str, typer.Argument(help=t("option.peer"))]
LaneArgument = Annotated[str, typer.Argument(help=t("option.lane"))]


@app.command("list", help=t("help.lanes_list"))
def list_lanes(profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """List the lanes of every peer."""
    out = Output(as_json)
    with client(profile) as node:
        status = node.call(node.operation.GetStatus, GetStatusRequest())
    ways = {each.peer: each.transport for each in status.peers}
    if out.as_json:
        out.value({"lanes": [as_dict(lane) | {"transport": ways.get(lane.peer, "")} for lane in status.lanes]})
    out.table(
        (*LANE_HEADINGS, "transport"),
        [(*lane_cells(lane), words.transport_word(ways.get(lane.peer, ""))) for lane in status.lanes],
    )


@app.command("show", help=t("help.lanes_show"))
def show_lane(
    peer: PeerArgument, lane: LaneArgument, profile: ProfileOption = None, *, as_json: JsonOption = False
) -> None:
    """Show one lane."""
    out = Output(as_json)
    wanted = read_lane(lane)
    with client(profile) as node:
        status = node.call(node.operation.GetStatus, GetStatusRequest())
    found = next((each for each in status.lanes if each.peer == peer and each.lane == wanted), None)
    if found is None:
        raise Undecidable("NOT_FOUND", f"{peer}/{lane}")
    _print(out, found, next((each for each in status.peers if each.peer == peer), None))


@app.command("pause", help=t("help.lanes_pause"))
def pause(
    peer: PeerArgument,
    lane: LaneArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Stop sending on a lane."""
    request = PauseLaneRequest(peer=peer, lane=read_lane(lane), reason=reason)
    with client(profile) as node:
        _print(Output(as_json), node.call(node.operation.PauseLane, request).lane)


@app.command("resume", help=t("help.lanes_resume"))
def resume(
    peer: PeerArgument,
    lane: LaneArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Go on sending on a paused lane."""
    request = ResumeLaneRequest(peer=peer, lane=read_lane(lane), reason=reason)
    with client(profile) as node:
        _print(Output(as_json), node.call(node.operation.ResumeLane, request).lane)


@app.command("retry", help=t("help.lanes_retry"))
def retry(
    peer: PeerArgument,
    lane: LaneArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Try a waiting or stopped lane at once."""
    request = RetryLaneRequest(peer=peer, lane=read_lane(lane), reason=reason)
    with client(profile) as node:
        _print(Output(as_json), node.call(node.operation.RetryLane, request).lane)


@app.command("retire", help=t("help.lanes_retire"))
def retire(
    peer: PeerArgument,
    lane: LaneArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    mirror: Annotated[bool, typer.Option("--mirror", help=t("option.mirror"))] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=t("option.yes"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask for retiring the log of a stopped lane; it goes on in a new epoch once a security officer confirmed."""
    if not yes:
        typer.confirm(t("message.confirm_retire", peer=peer, lane=lane), abort=True)
    request = RetireLaneRequest(peer=peer, lane=read_lane(lane), reason=reason, mirror=mirror)
    with client(profile) as node:
        print_waiting(Output(as_json), node.call(node.operation.RetireLane, request).action)


def _print(out: Output, lane: LaneStatus, reach: PeerStatus | None = None) -> None:
    if out.as_json:
        out.value(as_dict(lane))
        return
    facts: list[tuple[str, Any]] = [
        ("peer", lane.peer),
        ("lane", words.lane_word(lane.lane)),
        ("state", words.lane_state_word(lane.state)),
        ("log", lane.log),
        ("size", lane.size),
        ("cosigned", lane.delivered),
        ("backlog", lane.size - lane.delivered),
        ("mirrored", lane.mirrored),
        ("applied", lane.applied),
        ("missing_bodies", lane.missing_bodies),
        ("tries", lane.tries or None),
        ("next_try", moment(lane.next_try)),
        ("last_error", lane.last_error),
        ("detail", lane.detail),
    ]
    if reach is not None:
        facts += [
            ("transport", words.transport_word(reach.transport)),
            ("last_given", moment(reach.last_given)),
            ("last_taken", moment(reach.last_taken)),
            ("waiting", reach.waiting or None),
            ("oldest", moment(reach.oldest_waiting)),
        ]
    out.facts(facts)
