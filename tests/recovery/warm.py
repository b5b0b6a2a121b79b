"""Imported once by the process from which shops are forked: an application made here spares each fork the work that
Litestar does on handlers when it meets them first.
"""

import tempfile

from kernel.settings import Settings
from web.app import create_app
from web.services import build

with tempfile.TemporaryDirectory() as folder:
    create_app(build(Settings.from_environment({"VAR": folder, "DATABASE_URL": "postgresql://nobody@localhost/none"})))
