"""The id a form carries from its first page to its last: sent twice, it is done once."""

import uuid

from kernel.ids import new_id
from web.http import Form


def request_id_of(form: Form) -> uuid.UUID:
    """The form's own; a new one where it has none yet."""
    try:
        return uuid.UUID(form.get("request_id"))
    except ValueError:
        return new_id()
