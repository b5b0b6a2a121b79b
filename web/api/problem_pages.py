"""What each problem type means: the pages to which the `type` of a problem document leads.

They are made from the errors themselves, so that none is missing. In English, as the API's documentation is.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

import msgspec
from litestar import get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from kernel.errors import DomainError, NotFound
from web.http import AnyRequest, Html
from web.pages import page
from web.problems import OTHER_PROBLEMS

MEANING: Final = {
    400: (
        "The request could not be read as documented.",
        "Mend what `detail` and `errors` name; repeating it is no use.",
    ),
    401: ("We do not know who asks.", "Present an API key as `Authorization: Bearer trf_...`, or log in."),
    403: ("We know who asks, and they may not do this.", "Use a key with the scope, or ask an admin of your company."),
    404: (
        "There is no such thing, or it is not yours to see; we never say which.",
        "Check the code, number or address.",
    ),
    405: ("The address exists, but not with this method.", "Use one of the methods in the `Allow` header."),
    409: ("The state of things does not allow it now.", "Read the current state, then decide whether to try again."),
    410: (
        "It was there once and is no longer at hand.",
        "Begin again as `detail` says; repeating the request is no use.",
    ),
    412: ("It is not as you said you saw it.", "Look at both sides, decide, and send the entity tag of what is there."),
    413: ("The body is larger than this address takes.", "Send it in parts."),
    415: (
        "The body is not in a format this address reads.",
        "Send JSON in UTF-8 with `Content-Type: application/json`.",
    ),
    416: ("The part asked for is not in the file.", "Ask for the whole file, without `Range`."),
    422: ("The request is well formed, but against the rules.", "Change what `detail` names; repeating it is no use."),
    428: (
        "You did not say what you saw, so that somebody's work could be lost.",
        "Send `If-Match` or `If-None-Match`.",
    ),
    429: ("Too many attempts in a short time.", "Wait, and try again later; `retry_at`, where given, says when."),
    500: ("Something failed on our side, and has been recorded.", "Try again; write to us if it goes on."),
    503: ("It cannot be answered rightly at the moment.", "Try again after the seconds in the `Retry-After` header."),
}
ADVICE: Final = {
    "key-refused": "`reason` says why: `malformed` (cut off or mistyped), `unknown`, `revoked`, `expired`, or `left`: "
    "whoever made this key of the desk is not there any more. An admin of your company makes a new key on its page of "
    "API keys.",
    "scope-missing": "Scopes are given when a key is made and never change. Make a key with the scope that `detail` "
    "names.",
    "price-book-unavailable": "A server that has not heard from its price log for some seconds answers this rather "
    "than a price that may have changed. Other servers go on answering: trying again usually helps at once.",
    "no-price-book": "Prices begin with the first publication. None was in force at that instant.",
    "sku-not-priced": "The book in force does not hold this SKU. `GET /api/v1/feed.csv` lists those that it holds.",
    "price-feed-gone": "A feed is read, and its changes are told, as long as few price books have come after the one "
    "it began with. Take the whole feed again, from its first page, and go on from there.",
    "too-many-requests": "Requests are counted by the minute, for each API key, and for all programs without one that "
    "call from one network. `RateLimit` says with every answer how many are left and when all are again.",
    "idempotency-key-reused": "A key names one call, with its method, address and body, for a day. A new call needs a "
    "new key: take a random one, such as a UUID, when the call is first made, and the same one when it is repeated.",
    "call-in-progress": "Two calls at once under one key: one runs. Send it again after `Retry-After` seconds; the "
    "answer is then that of the first.",
    "unknown-country": "Countries are ISO 3166-1 two-letter codes: `GB`, not `UK`; `GR`, not `EL`.",
    "order-unknown": "An order of another company answers exactly like one that does not exist.",
    "price-changed": "The order comes to another total than was shown, or than a program's `expected_total`: a new "
    "price book may have taken effect, or freight and tax were not counted. `old` and `new` are the totals; nothing "
    "was ordered. Who agrees to the new one sends the order again with it.",
    "idempotency-key-missing": "An order binds and is paid for, so it has to be safe to send twice. Make a UUID when "
    "your program decides to order, keep it with the order, and send it as `Idempotency-Key` with every try.",
    "framework-missing": "A signatory of your company accepts the framework agreement at `/account/agreements`, once; "
    "`GET /api/v1/framework-agreement` then shows its id.",
    "framework-not-found": "`GET /api/v1/framework-agreement` shows the one that stands, if one does. An agreement of "
    "another company answers exactly like one that does not exist.",
    "framework-ended": "`ended_at` says when, `standing` is the id of the one that stands now, null where none does. "
    "Orders that cited it stay as they are. Read the new one before you cite it.",
    "framework-outdated": "`documents` names, by code, what changed materially or is asked for and was not accepted. "
    "Nothing is ordered until a signatory of your company has accepted the agreement anew at `/account/agreements`.",
    "framework-exceeded": "`limit` is what the signatory who accepted the agreement may sign alone. Order less at "
    "once, or have a signatory with a higher limit place the order in the shop or accept the agreement anew.",
    "cart-not-orderable": "`lines` names each line by its `position` (from 1) and `sku`, with a stable `reason` and a "
    "`text` that says what to do. Nothing was ordered.",
    "insufficient-stock": "`lines` says of which SKU there is less than ordered, and how much. Nothing is reserved.",
    "details-refused": "`errors` names every field to mend, with what is wrong there.",
    "approval-needed": "Your company wants a colleague to approve such an order, which no program can do. A person of "
    "it places the order in the shop and sends it for approval.",
    "signatures-needed": "Such an order is signed by several people, which no program can do. A person of your "
    "company places it in the shop.",
    "signed-quote-void": "`reason` says why: `expired`, `ordered` (a quote is for one order), or `elsewhere` (it holds "
    "for another country of delivery). Have a new one signed.",
    "credit-unavailable": "Finance gives a company terms in its currency. Without them order with `pay` set to `now`.",
    "credit-limit-exceeded": "What is open on your company's terms counts until it is paid. `left` is what is left.",
    "malformed": "`errors`, where given, lists each member or parameter with what is wrong there. Numbers are decimal "
    'strings such as `"12.5"`; a member we do not know is refused too, for it would be ignored otherwise.',
}


class ProblemType(msgspec.Struct, frozen=True, kw_only=True):
    """One problem type; *variants* are its titles with their statuses."""

    slug: str
    variants: tuple[tuple[int, str], ...]

    @property
    def title(self) -> str:
        return self.variants[0][1]

    @property
    def advice(self) -> str | None:
        return ADVICE.get(self.slug)

    @property
    def meanings(self) -> tuple[tuple[str, str], ...]:
        return tuple(dict.fromkeys(MEANING[status] for status, _ in self.variants))


class NoSuchProblem(NotFound):
    problem = "not-found"
    title = "There is no such problem type"


@cache
def problem_types() -> dict[str, ProblemType]:
    """Every type a problem document of this program may have, by its slug."""
    found: dict[str, dict[tuple[int, str], None]] = {}
    for slug, status, title in (*((each.problem, each.status, each.title) for each in _errors()), *OTHER_PROBLEMS):
        found.setdefault(slug, {})[status, title] = None
    return {
        slug: ProblemType(slug=slug, variants=tuple(variants)) for slug, variants in sorted(found.items(), key=_slug)
    }


@get("/problems", include_in_schema=False, summary="All problem types")
async def list_problems(request: AnyRequest) -> Html:
    return page(request, "problems/list.html", types=tuple(problem_types().values()))


@get("/problems/{slug:str}", include_in_schema=False, summary="What a problem type means")
async def explain_problem(request: AnyRequest, slug: FromPath[str]) -> Html:
    found = problem_types().get(slug)
    if found is None:
        raise NoSuchProblem("There is no such problem type.")
    return page(request, "problems/one.html", type=found)


HANDLERS: list[ControllerRouterHandler] = [list_problems, explain_problem]


def _errors(base: type[DomainError] = DomainError) -> Iterator[type[DomainError]]:
    yield base
    for each in base.__subclasses__():
        yield from _errors(each)


def _slug(item: tuple[str, object]) -> str:
    return item[0]
