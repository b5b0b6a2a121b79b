"""A company whose people order together, on terms: what a stranger needs to try invoices, approval and signatures.

Its buyer signs alone up to a limit; above it a colleague approves; above the policy's amount two of them sign.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from accounts.member_service import PersonTaken
from accounts.model import Company, MemberRole
from accounts.policies import NO_POLICY, Policy
from accounts.principal import Principal, PrincipalKind, buyer_company
from accounts.store import find_company_by_code, find_person_by_email
from checkout.credit import Terms
from kernel.db import for_accounts
from kernel.ids import new_id
from kernel.money import Money
from web.services import Services

Person = tuple[str, str, str, MemberRole, bool, int | None, str, str]
"""E-mail, name, company, role, signatory, limit in minor units of the company's currency, job title, locale."""

CODE: Final = "umbrella"
ALONE: Final = Money(100_000, "EUR")
TWO_SIGN_ABOVE: Final = Money(500_000, "EUR")
TERMS: Final = Terms(net_days=30, limit=Money(2_000_000, "EUR"))
PEOPLE: Final[tuple[Person, ...]] = (
    ("buyer@umbrella.example", "Umbrella buyer", CODE, MemberRole.BUYER, True, ALONE.minor, "Site buyer", "en"),
    ("approver@umbrella.example", "Umbrella approver", CODE, MemberRole.APPROVER, True, None, "Site manager", "en"),
    ("director@umbrella.example", "Umbrella director", CODE, MemberRole.ADMIN, True, None, "Managing director", "en"),
)


async def load_together(services: Services, password: str) -> None:
    """Make the company, its people, its terms and its policy; what is there stays as it is."""
    async with services.db.begin(for_accounts()) as session:
        company = await find_company_by_code(session, CODE)
    company = company or await services.members.create_company(
        code=CODE, name="Umbrella Logística, S.L.", country="ES", currency=TERMS.limit.currency
    )
    await load_members(services, company, PEOPLE, password)
    known, changes = await services.credit.find(CODE)
    if known.credit is None and not changes:
        await services.credit.change(CODE, TERMS, shown=None, reason="The demo's terms", by=None)
    director = await _director(services, company)
    if await services.buying_policies.find(buyer_company(company), director) == NO_POLICY:
        await services.buying_policies.change(director, Policy(two_signatures_above=TWO_SIGN_ABOVE))


async def load_members(services: Services, company: Company, people: Iterable[Person], password: str) -> None:
    """Make those of *people* that are the company's and are not there yet."""
    for email, name, of, role, signatory, limit, title, locale in people:
        if of == company.code:
            with suppress(PersonTaken):
                await services.members.create_member(
                    company.id,
                    email=email,
                    name=name,
                    password=password,
                    role=role,
                    signatory=signatory,
                    signing_limit=None if limit is None else Money(limit, company.currency),
                    job_title=title,
                    locale=locale,
                )


async def _director(services: Services, company: Company) -> Principal:
    """The company's administrator, as whom its policy is written."""
    [email] = [email for email, _, _, role, *_ in PEOPLE if role is MemberRole.ADMIN]
    async with services.db.begin(for_accounts()) as session:
        person = await find_person_by_email(session, email)
    assert person is not None, "made just above"
    return Principal(
        kind=PrincipalKind.MEMBER,
        visitor_id=new_id(),
        person_id=person.id,
        email=person.email,
        email_verified=True,
        company=buyer_company(company),
        role=MemberRole.ADMIN,
    )
