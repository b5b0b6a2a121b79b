"""The filled ledger that evidence is measured in is one that holds."""

from sqlalchemy.engine import make_url

from agreements import ledger
from benchmarks.evidence import fill
from kernel.db import Database, for_staff
from kernel.embedded import EmbeddedServer


async def test_a_ledger_that_is_filled_by_copy_holds_and_goes_on(
    server: EmbeddedServer, database_name: str, database: Database
) -> None:
    superuser = make_url(server.superuser_url).set(database=database_name).render_as_string(hide_password=False)

    assert (fill(superuser, 37), fill(superuser, 100), fill(superuser, 50)) == (37, 63, 0)

    async with database.begin(for_staff()) as session:
        state = await ledger.check_ledger(session)
        assert (state.size, state.broken_at) == (100, None)
