"""Volume in Sichuan's layout: ``python -m exchange_sichuan.generate credit|penalty COUNT SEED OUT``."""

from __future__ import annotations

import sys

from exchange_forms.made.generate import main

if __name__ == "__main__":
    sys.exit(main("exchange_sichuan", sys.argv[1:]))
