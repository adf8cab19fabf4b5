"""``python -m exchange.app NODE.toml``: the process alone, for service managers without the command line."""

from __future__ import annotations

import sys
from pathlib import Path

from exchange.app.process import run
from exchange.settings import load

sys.exit(run(load(Path(sys.argv[1]))))
