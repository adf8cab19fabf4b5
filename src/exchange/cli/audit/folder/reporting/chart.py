"""One log's life as a drawing: entries logged and entries seen by the other side, and when it was away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from exchange.cli.audit.folder.reporting.markup import Markup, tag
from exchange.flows.audit.report.lives import Life

WIDTH: Final = 860
HEIGHT: Final = 220
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 34
POINTS: Final = 400
"""Points of a line: more than the page has room for."""

_LOCAL = timezone(timedelta(hours=8))
_TICKS: Final = 5


def life_chart(life: Life, label: str) -> Markup:
    """The drawing.

    Args:
        life: Of one log with at least one entry.
        label: What it shows, for those who can not see it.
    """
    logged = sorted(life.logged)
    seen = life.seen
    begin = min(logged[0], seen[0][1] if seen else logged[0])
    end = max(logged[-1], seen[-1][1] if seen else logged[-1], begin + 1)

    def x(at: int) -> float:
        return LEFT + (at - begin) / (end - begin) * (WIDTH - LEFT - RIGHT)

    def y(count: int) -> float:
        return HEIGHT - BOTTOM - count / life.size * (HEIGHT - TOP - BOTTOM)

    step = max(1, len(logged) // POINTS)
    stated = [(x(logged[at]), y(at + 1)) for at in range(0, len(logged), step)] + [(x(logged[-1]), y(len(logged)))]
    thinned = seen[:: max(1, len(seen) // POINTS)] + seen[-1:]
    mirrored = [(x(at), y(size)) for size, at in thinned]
    outages = [
        tag("rect", x=f"{x(each.begin):.1f}", y=TOP, class_="outage", height=HEIGHT - TOP - BOTTOM,
            width=f"{max(2.0, x(each.end) - x(each.begin)):.1f}")
        for each in life.outages()
    ]  # fmt: skip
    return tag(
        "svg",
        tag("title", label),
        *outages,
        *_axes(begin, end, life.size, x, y),
        _line(stated, "logged"),
        _line(mirrored, "seen"),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        class_="life",
    )


def _line(points: Sequence[tuple[float, float]], name: str) -> Markup | None:
    if not points:
        return None
    path, height = f"M{points[0][0]:.1f} {points[0][1]:.1f}", points[0][1]
    for right, up in points[1:]:
        path += f"H{right:.1f}" + (f"V{up:.1f}" if up != height else "")
        height = up
    return tag("path", d=path, class_=name)


def _axes(begin: int, end: int, size: int, x: Callable[[int], float], y: Callable[[int], float]) -> list[Markup]:
    """Ticks of time below, of entries at the left."""
    floor = HEIGHT - BOTTOM
    form = "%m-%d %H:%M" if end - begin > 3 * 86_400 else "%H:%M" if end - begin > 600 else "%H:%M:%S"
    found = [tag("line", x1=LEFT, y1=floor, x2=WIDTH - RIGHT, y2=floor, class_="axis")]
    instants = dict.fromkeys(begin + (end - begin) * tick // (_TICKS - 1) for tick in range(_TICKS))
    for at in instants:
        place = {begin: "start", end: "end"}.get(at, "middle")
        when = datetime.fromtimestamp(at, UTC).astimezone(_LOCAL).strftime(form)
        found.append(tag("text", when, x=f"{x(at):.1f}", y=floor + 18, text_anchor=place))
    for count in dict.fromkeys((0, size // 2, size)):
        up = f"{y(count):.1f}"
        found.append(tag("line", x1=LEFT, y1=up, x2=WIDTH - RIGHT, y2=up, class_="grid"))
        found.append(tag("text", f"{count:,}", x=LEFT - 6, y=f"{y(count) + 4:.1f}", text_anchor="end"))
    return found
