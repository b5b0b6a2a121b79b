"""A company whose programs may order: what a stranger needs to try `POST /api/v1/orders` from nothing.

Its signatory has accepted the framework agreement, as on its page, and finance has given it terms. Whoever logs in
makes an API key.
"""

from typing import Final

from checkout.credit import Terms
from kernel.money import Money
from web.evidence import stylesheet_digest, template_digest
from web.services import Services
from web.shop.framework import TEMPLATE

SIGNATORY: Final = "compras@initech.example"
TERMS: Final = Terms(net_days=30, limit=Money(2_000_000, "EUR"))


async def load_programs(services: Services, password: str) -> None:
    """Let the signatory accept, and give the company its terms; what is there stays as it is."""
    opened = await services.accounts.log_in(email=SIGNATORY, password=password, token=None, address="127.0.0.1")
    signatory, frameworks = opened.principal, services.frameworks
    assert signatory.company is not None, "a member of a company"
    if (await frameworks.find(signatory)).framework is None:
        shown = await frameworks.present(
            signatory,
            locale="es",
            template_digest=template_digest(TEMPLATE),
            stylesheet_digest=stylesheet_digest(),
        )
        boxes = {each.id for each in shown.statements if each.box}
        title = signatory.job_title or "Jefe de compras"
        await frameworks.accept(
            signatory,
            presentation_id=shown.id,
            ticked=boxes,
            job_title=title,
            ip="127.0.0.1",
            user_agent="The demo's loader",
        )
    known, changes = await services.credit.find(signatory.company.code)
    if known.credit is None and not changes:
        await services.credit.change(signatory.company.code, TERMS, shown=None, reason="The demo's terms", by=None)
    await services.accounts.log_out(opened.token)
