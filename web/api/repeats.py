"""Idempotency keys over HTTP: an unsafe call that names itself is done once and answered the same again."""

from hashlib import sha256
from http import HTTPStatus
from typing import Final

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from accounts.principal import Principal, PrincipalKind
from accounts.repeated_calls import Claim, KeptAnswer, Owner
from web.api.reading import BodyMalformed
from web.http import AnyRequest, services_of

HEADER: Final = "idempotency-key"
LONGEST: Final = 255
STATE: Final = "claim"
UNNAMED: Final = "unnamed"
"""Under this key of a handler's `opt`: its calls take no name."""


def idempotency_key(request: AnyRequest, principal: Principal) -> str | None:
    """What the call names itself; None where nothing is kept: without a name, without an API key, and where a call sent
    again does no harm and its body is too large to be kept.

    :raises BodyMalformed: when it cannot be a name
    """
    name = request.headers.get(HEADER)
    if name is None:
        return None
    if not 0 < len(name) <= LONGEST or not name.isascii() or not name.isprintable():
        raise BodyMalformed(f"Idempotency-Key takes 1 to {LONGEST} printable ASCII characters, such as a UUID.")
    return None if _owner(principal) is None or request.route_handler.opt.get(UNNAMED) else name


async def answer_once(
    request: AnyRequest, principal: Principal, name: str, app: ASGIApp, receive: Receive, send: Send
) -> None:
    """Do the call unless it was done, keep its success, and send the one answer.

    :raises IdempotencyKeyReused, CallInProgress: as `RepeatedCalls.claim`
    """
    owner = _owner(principal)
    assert owner is not None, "only calls with a key have names"
    calls, scope = services_of(request).repeated_calls, request.scope
    claim = await calls.claim(owner, name, await _digest(request))
    if isinstance(claim, KeptAnswer):
        await _send(claim, send, replayed=True)
        return
    scope["state"][STATE] = claim
    held = _Held()
    try:
        await app(scope, receive, held)
    finally:
        answer = held.answer()
        if answer is None:
            await calls.forget(claim)
    if answer is None:
        await held.pass_on(send)
        return
    await calls.keep(claim, answer)
    await _send(answer, send, replayed=False)


def claim_of(scope: Scope) -> Claim | None:
    """The claim under which a call is done, so that what it makes can bear its id."""
    found = scope["state"].get(STATE)
    return found if isinstance(found, Claim) else None


def _owner(principal: Principal) -> Owner | None:
    if principal.company_id is not None:
        return Owner(company_id=principal.company_id)
    return Owner(person_id=principal.person_id) if principal.kind is PrincipalKind.STAFF_KEY else None


async def _digest(request: AnyRequest) -> bytes:
    parts = (request.method.encode(), request.scope["path"].encode(), request.scope["query_string"])
    return sha256(b"\n".join((*parts, await request.body()))).digest()


class _Held:
    """Takes an answer instead of the client."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self._messages.append(message)

    async def pass_on(self, send: Send) -> None:
        for message in self._messages:
            await send(message)

    def answer(self) -> KeptAnswer | None:
        """The answer if it is a success, else None."""
        status, headers, body = 0, {}, b""
        for message in self._messages:
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
            elif message["type"] == "http.response.body":
                body += message["body"]
        done = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
        return KeptAnswer(status, headers, body) if done else None


async def _send(answer: KeptAnswer, send: Send, *, replayed: bool) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    if replayed:
        headers.append((b"idempotency-replayed", b"true"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
