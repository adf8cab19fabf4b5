"""Forms of registers: credit results and 双公示 penalties, as rows of a document ⇄ shared records.

No region in it: every heading, name and default comes from a region's table files. A region's package makes its
adapter with :func:`make_adapter`.
"""

from exchange_forms.adapter import FormsAdapter, make_adapter
from exchange_forms.sides.side import Side
from exchange_forms.sides.tables import load_side

__all__ = ["FormsAdapter", "Side", "load_side", "make_adapter"]
