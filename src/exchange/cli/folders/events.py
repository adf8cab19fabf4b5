"""What a watcher says: a line for people, or a line of JSON."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.cli.output import Output
from exchange.cli.sending.answers import sentence
from exchange.cli.texts import t
from exchange.domain.problems import Problem


@dataclass(frozen=True, slots=True)
class Events:
    """Where they go."""

    out: Output

    def answered(self, name: str, target: str, counts: dict[str, int]) -> None:
        """A file was answered."""
        self._line("answered", file=name, result=target, counts=counts)
        bad = counts.get("QUARANTINED", 0) + counts.get("REFUSED", 0)
        self._say(t("message.folder_answered", file=name, result=target, rows=counts.get("ROWS", 0), bad=bad))

    def refused(self, name: str, problem: Problem) -> None:
        """A file was refused and stays."""
        self._line("refused", file=name, reason=problem.reason, detail=problem.detail)
        self._say(t("message.folder_refused", file=name, why=sentence(problem)))

    def waits(self, name: str, problem: Problem) -> None:
        """A file is tried again."""
        self._line("waiting", file=name, reason=problem.reason, detail=problem.detail)
        self._say(t("message.folder_waits", file=name, why=sentence(problem)))

    def arrived(self, name: str) -> None:
        """A record of the other side was written."""
        self._line("arrived", file=name)
        self._say(t("message.folder_arrived", file=name))

    def attached(self, name: str) -> None:
        """An attachment of such a record was written."""
        self._line("attached", file=name)
        self._say(t("message.folder_attached", file=name))

    def pruned(self, count: int) -> None:
        """Files that were old enough are gone."""
        self._line("pruned", files=count)
        self._say(t("message.folder_pruned", count=count))

    def withdrawn(self, name: str, reason: str) -> None:
        """A record may be shown no more: its documents are gone."""
        self._line("withdrawn", file=name, reason=reason)
        self._say(t("message.folder_withdrawn", file=name, reason=reason))

    def trouble(self, problem: Problem) -> None:
        """Arrivals can not be followed now, or nothing can be written."""
        self._line("trouble", reason=problem.reason, detail=problem.detail)
        self._say(t("message.folder_trouble", why=sentence(problem)))

    def resumed(self) -> None:
        """There is room again."""
        self._line("resumed")
        self._say(t("message.folder_resumed"))

    def _line(self, event: str, **values: object) -> None:
        if self.out.as_json:
            self.out.line({"event": event, **values}, now=True)

    def _say(self, text: str) -> None:
        self.out.say(text.replace("\n", " "))
