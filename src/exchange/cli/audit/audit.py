"""The noun ``audit``: its verbs, each in a file of its own."""

from __future__ import annotations

import typer

from exchange.cli.audit.files import export, extract, prove_erased
from exchange.cli.audit.folder import compare, importing, reconcile, replay, report, timestamps, verify
from exchange.cli.audit.running import body, checkpoint, entries, heads, history, logs, proof
from exchange.cli.texts import t

app = typer.Typer(help=t("help.audit"), no_args_is_help=True)

app.command("logs", help=t("help.audit_logs"))(logs.list_logs)
app.command("entries", help=t("help.audit_entries"))(entries.list_entries)
app.command("checkpoint", help=t("help.audit_checkpoint"))(checkpoint.show_checkpoint)
app.command("proof", help=t("help.audit_proof"))(proof.show_proof)
app.command("history", help=t("help.audit_history"))(history.show_history)
app.command("body", help=t("help.audit_body"))(body.read_body)
app.command("export", help=t("help.audit_export"))(export.export_folder)
app.command("extract", help=t("help.audit_extract"))(extract.extract_record)
app.command("prove-erased", help=t("help.audit_prove_erased"))(prove_erased.prove_erased)
app.command("timestamps", help=t("help.audit_timestamps"))(timestamps.list_timestamps)
app.command("replay", help=t("help.audit_replay"))(replay.replay)
app.command("reconcile", help=t("help.audit_reconcile"))(reconcile.reconcile_sides)
app.command("import", help=t("help.audit_import"))(importing.import_material)
app.command("verify", help=t("help.audit_verify"))(verify.verify_folder)
app.command("heads", help=t("help.audit_heads"))(heads.show_heads)
app.command("compare", help=t("help.audit_compare"))(compare.compare_list)
app.command("report", help=t("help.audit_report"))(report.write_report)
