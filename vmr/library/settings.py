"""What is set for a whole library: a few words by name.

settings = Settings(db)
settings.set("encoder", "...")
settings.get("encoder")             # empty where nothing was set
"""

from typing import Final

from vmr.library.connection import Catalogue

KEEP: Final = (
    "INSERT INTO settings VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
"""The statement that keeps a name and its words."""


class Settings:
    """Words by name, in the library's database."""

    def __init__(self, db: Catalogue) -> None:
        self._db = db

    def get(self, key: str) -> str:
        """What was set, empty where nothing was."""
        rows = self._db.fetch("SELECT value FROM settings WHERE key = ?", key)
        return str(rows[0][0]) if rows else ""

    def set(self, key: str, value: str) -> None:
        """Keep something; empty forgets it."""
        with self._db.transaction() as db:
            if value:
                db.execute(KEEP, (key, value))
            else:
                db.execute("DELETE FROM settings WHERE key = ?", (key,))
