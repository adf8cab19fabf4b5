"""Reading for those who ask: set-based, bounded, and never more than one page of anything."""

from sqlalchemy import Connection

__all__ = ["Connection"]
