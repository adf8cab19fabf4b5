"""``audit logs``: every log that a node keeps."""

from __future__ import annotations

from exchange.cli.options import JsonOption, ProfileOption, client
from exchange.cli.output import Output, as_dict
from exchange.cli.texts import word
from exchange.v1.audit_service_pb2 import ListLogsRequest, LogUse


def list_logs(profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """List logs with their sizes and keys."""
    out = Output(as_json)
    with client(profile) as node:
        answer = node.call(node.audit.ListLogs, ListLogsRequest())
    if out.as_json:
        out.value(as_dict(answer))
        return
    out.table(
        ("log", "use", "size", "cosigned", "retired", "vkey"),
        [
            (
                each.origin,
                word("log_use", LogUse.Name(each.use).removeprefix("LOG_USE_")),
                each.size,
                each.cosigned_size,
                each.retired,
                "\n".join(filter(None, (each.vkey, each.cosigner_vkey))),
            )
            for each in answer.logs
        ],
    )
