"""The entry: every command, told apart by what it needs, imported when it is run."""

from __future__ import annotations

import gc
import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from exchange.cli import help_pages
from exchange.cli.output import report_failure
from exchange.cli.texts import choose_language, forget_language, t
from exchange.domain.problems import ExchangeError

PROGRAM: Final = "exchange"

CUT_OFF: Final = 128 + 13
"""Exit status when the reader of the output goes away, as shells tell of SIGPIPE: neither done nor a finding."""

COLLECT_EVERY: Final = 50_000
"""Objects that may be made before the collector looks for cycles: logs are read by the hundred thousand entries, and
leave none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where a command is found.

    Attributes:
        package: Below ``exchange.cli``; its first name also chooses the panel of ``--help``: what the command needs.
        is_noun: It has verbs of its own.
    """

    package: str
    is_noun: bool = False

    @property
    def panel(self) -> str:
        """The text that heads the command's part of ``--help``."""
        return _PANELS[self.package.partition(".")[0]]

    def load(self, name: str) -> Any:
        """Import the command."""
        module = import_module(f"exchange.cli.{self.package}.{name}")
        if self.is_noun:
            command: Any = get_group(module.app)
        else:
            alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            alone.command(name, help=t(f"help.{name}"))(getattr(module, name))
            command = get_command(alone)
        command.name = name
        return command


COMMANDS: Final = {
    "status": _Place(package="calls.operating"),
    "submit": _Place(package="calls.exchanged"),
    "check": _Place(package="calls.registers"),
    "subject": _Place(package="calls.registers"),
    "feedback": _Place(package="calls.registers", is_noun=True),
    "alerts": _Place(package="calls.registers", is_noun=True),
    "requests": _Place(package="calls.registers", is_noun=True),
    "watch": _Place(package="calls.exchanged"),
    "folder": _Place(package="calls.exchanged", is_noun=True),
    "submissions": _Place(package="calls.exchanged", is_noun=True),
    "records": _Place(package="calls.exchanged", is_noun=True),
    "stations": _Place(package="calls.registers", is_noun=True),
    "readings": _Place(package="calls.registers", is_noun=True),
    "labs": _Place(package="calls.registers", is_noun=True),
    "lanes": _Place(package="calls.operating", is_noun=True),
    "quarantine": _Place(package="calls.operating", is_noun=True),
    "alarms": _Place(package="calls.operating", is_noun=True),
    "agencies": _Place(package="calls.security", is_noun=True),
    "actions": _Place(package="calls.security", is_noun=True),
    "rules": _Place(package="calls.registers", is_noun=True),
    "certs": _Place(package="calls.security", is_noun=True),
    "trust": _Place(package="calls.security", is_noun=True),
    "init": _Place(package="node"),
    "run": _Place(package="node"),
    "doctor": _Place(package="node"),
    "peers": _Place(package="node", is_noun=True),
    "config": _Place(package="node", is_noun=True),
    "db": _Place(package="node", is_noun=True),
    "verify": _Place(package="offline"),
    "inspect": _Place(package="offline"),
    "explain": _Place(package="offline"),
    "pki": _Place(package="offline", is_noun=True),
    "adapters": _Place(package="offline", is_noun=True),
    "hj212": _Place(package="offline", is_noun=True),
    "catalogue": _Place(package="offline", is_noun=True),
    "audit": _Place(package="audit", is_noun=True),
}
"""Every command in the order of ``--help``."""

_PANELS: Final = {
    "calls": "panel.certificate",
    "node": "panel.node",
    "offline": "panel.offline",
    "audit": "panel.audit",
}


class Commands(TyperGroup):
    """The root: lists every command, imports the one that is run, and turns what goes wrong into an exit status."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.tell()

    def tell(self) -> None:
        """Put together what ``--help`` says, in the language of this run."""
        self.help = t("help.exchange")
        self.commands = {
            name: TyperCommand(name, help=t(f"help.{name}"), rich_help_panel=t(place.panel))
            for name, place in COMMANDS.items()
        }
        for option in self.params:
            if option.name in ("lang", "version"):
                option.help = t(f"option.{option.name}")  # type: ignore[attr-defined]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, imported."""
        name, _, rest = super().resolve_command(ctx, args)
        return name, COMMANDS[name].load(name) if name else None, rest

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except ExchangeError as error:
            as_json = bool(ctx.meta.get("exchange.json"))
            raise typer.Exit(int(report_failure(error, as_json=as_json))) from None
        except BrokenPipeError:
            # The reader of our output has gone; there is nobody to tell, and no verdict that anybody has read.
            sys.stdout = None
            raise typer.Exit(CUT_OFF) from None
        except OSError as error:
            # An auditor's place to write to, or a file that he names: status 1 would say that something is refuted.
            if ctx.invoked_subcommand != "audit" or error.filename is None:
                raise
            raise typer.BadParameter(f"{error.filename}: {error.strerror}") from None


def _version(asked: bool) -> None:  # noqa: FBT001  (the signature is typer's)
    if asked:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  (slow, and seldom asked)

        try:
            typer.echo(version("exchange-gateway"))
        except PackageNotFoundError:
            typer.echo("0+unknown")
        raise typer.Exit


def _speak(ctx: typer.Context, lang: str) -> str:
    """Before a command is imported: its ``--help`` is put together then."""
    forget_language()
    if lang and lang[:2].lower() not in ("zh", "en"):
        raise typer.BadParameter(t("message.unknown_language", name=lang))
    choose_language(lang, final=True)
    if lang and isinstance(ctx.command, Commands):
        ctx.command.tell()
    return lang


def _root(
    lang: Annotated[
        str, typer.Option("--lang", help=t("option.lang"), show_default=False, callback=_speak, is_eager=True)
    ] = "",
    *,
    version: Annotated[
        bool, typer.Option("--version", help=t("option.version"), callback=_version, is_eager=True)
    ] = False,
) -> None:
    del lang, version  # their callbacks have answered


help_pages.install()
app: Final = typer.Typer(
    cls=Commands,
    name=PROGRAM,
    help=t("help.exchange"),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(_root)


def main() -> None:
    """Run the command line; ends the process with its exit status."""
    gc.set_threshold(COLLECT_EVERY)
    app(prog_name=PROGRAM)
