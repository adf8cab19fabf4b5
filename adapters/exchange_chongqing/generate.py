"""Volume in Chongqing's layout: ``python -m exchange_chongqing.generate credit|penalty COUNT SEED OUT``."""

from __future__ import annotations

import sys

from exchange_forms.made.generate import main

if __name__ == "__main__":
    sys.exit(main("exchange_chongqing", sys.argv[1:]))
