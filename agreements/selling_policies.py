"""When the seller counter-signs: data that the legal desk writes, each version a row with who and when."""

from accounts.details import Form, check_email
from accounts.policies import COPIES_MOST, CopiesRefused
from accounts.principal import Principal
from agreements import store
from agreements.package_model import SellingPolicy
from agreements.packages import Selling, selling_policy
from kernel.clock import Clock
from kernel.db import Database, for_staff
from kernel.ids import new_id


class SellingPolicies:
    """Callers have checked that the legal desk asks."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def find(self) -> tuple[Selling, tuple[str, ...]]:
        """The policy in force, and the codes of all documents."""
        async with self._db.reading(for_staff()) as session:
            return await selling_policy(session), await store.list_document_codes(session)

    async def change(self, principal: Principal, policy: Selling) -> None:
        """Let *policy* hold from now on; packages that wait already go on as they were sent.

        :raises accounts.details.DetailsRefused: naming every field to mend
        """
        assert principal.person_id is not None, "the legal desk is a person"
        form = Form()
        form.check("copies", _check_copies, policy.copies)
        form.refuse()
        async with self._db.begin(for_staff()) as session:
            known = await store.list_document_codes(session)
            session.add(
                SellingPolicy(
                    id=new_id(),
                    countersign_above={each.currency: each.decimal for each in policy.above},
                    documents=sorted(policy.documents & set(known)),
                    copies=list(policy.copies),
                    changed_by=principal.person_id,
                    changed_at=self._clock.now(),
                )
            )


def _check_copies(copies: tuple[str, ...]) -> None:
    if len(copies) > COPIES_MOST:
        raise CopiesRefused(f"At most {COPIES_MOST} addresses get a copy.")
    for each in copies:
        check_email(each)
