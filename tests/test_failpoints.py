"""No commit and no network call without a failpoint: read from the source, so that a new one fails here.

`Database.reading` needs none: PostgreSQL refuses to write in it. That the shop is killed at each failpoint there is, is
what tests/recovery/test_every_failpoint.py says.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

from tests.conftest import ROOT

DRAFTED = "a draft or a rule with its note in the log, in one commit: nothing follows from it but what is asked later"
OPENED = "notes that a link was opened; what is lost is noted at its next opening"
SIGNED_ANEW = "signs a head over the receipt's row where there is none; what is lost is signed at the next asking"
WITHOUT = {
    "accounts/data_exports.py:ask": "the wish and its job, in one commit; made at a failpoint",
    "accounts/erasure.py:_letters_are_out": "asks for the job again, which asks again when that is lost",
    "accounts/erasure.py:approve": "the approval, its letters and its job, in one commit; carried out at failpoints",
    "accounts/erasure.py:lift_hold": "the end of a hold and the jobs that waited for it, in one commit",
    "accounts/erasure.py:place_hold": "one row",
    "accounts/erasure.py:plan": "one row, which binds nobody before it is approved",
    "accounts/erasure.py:withdraw": "one row",
    "accounts/retention.py:set": "rows that hold from now on, in one commit",
    "agreements/bundles.py:of_order": SIGNED_ANEW,
    "agreements/consents.py:withdraw": "a consent that ends, and its letter, in one commit",
    "agreements/consents.py:withdraw_by_link": "a consent that ends, and its letter, in one commit",
    "agreements/consents.py:write_to_all": "letters, in one commit",
    "agreements/frameworks.py:present": "one row that nobody has seen, good for an hour",
    "agreements/frameworks.py:receipt": SIGNED_ANEW,
    "agreements/publishing.py:define": DRAFTED,
    "agreements/publishing.py:discard": DRAFTED,
    "agreements/publishing.py:open_draft": DRAFTED,
    "agreements/publishing.py:put_facts": DRAFTED,
    "agreements/publishing.py:put_text": DRAFTED,
    "agreements/publishing.py:remove_text": DRAFTED,
    "agreements/publishing.py:take": DRAFTED,
    "agreements/rule_desk.py:put": DRAFTED,
    "agreements/rule_desk.py:put_profile": DRAFTED,
    "agreements/selling_policies.py:change": DRAFTED,
    "checkout/packages.py:read": OPENED,
    "web/journey.py:flush": "events of visits, which may be lost",
    "web/shop/checkout.py:legal_review": OPENED,
    "web/shop/document_versions.py:document_pdf": "keeps a text's PDF, which is made again where it was lost",
    "web/shop/orders.py:_receipt": SIGNED_ANEW,
    "web/shop/renderings.py:_of_order": SIGNED_ANEW,
    "web/signing.py:evidence": SIGNED_ANEW,
}
"""Commits that have no failpoint, each with the reason."""
WHERE = (
    "accounts/data_exports.py",
    "accounts/erasure.py",
    "accounts/exemptions.py",
    "accounts/retention.py",
    "accounts/vies.py",
    "agreements",
    "checkout",
    "web",
)
"""Where money, evidence and privacy are committed."""
CLIENTS = ("httpx", "smtplib", "socket", "urllib.request", "http.client", "stripe")
SENDING = {
    "accounts/vies.py": "its own failpoint",
    "agreements/stamps.py": "its own failpoint",
    "checkout/stripe_gateway.py": "each method of the library by its own failpoint: the test below",
    "kernel/mail.py": "transports, which are called by PostOffice and ReceiptPost at failpoints of theirs",
    "kernel/outgoing.py": "called by the webhooks' delivery at its failpoint, and by nobody else",
    "web/audit_channels.py": "asks this very application, within the process",
    "web/auditor.py": "asks this very application, within the process",
    "web/serve.py": "asks whether a port of this machine is free, before anything is served",
}
"""Who can talk to a network at all, and where its failpoint stands."""


def modules(*rooms: str) -> Iterator[tuple[str, ast.Module]]:
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")) or [ROOT / room]:
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def commits(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Each `begin(scope...)` of a database with the function it stands in."""
    for function in functions(tree):
        for call in ast.walk(function) if isinstance(function, ast.AsyncFunctionDef) else ():
            begins = isinstance(call, ast.Call) and ast.unparse(call.func).endswith("db.begin")
            if begins and isinstance(call, ast.Call) and call.args:  # SQLAlchemy's own takes none
                yield function.name, call


def test_every_commit_of_money_evidence_and_privacy_names_its_failpoint() -> None:
    seen, excused = 0, set()
    for path, tree in modules(*WHERE):
        for function, call in commits(tree):
            seen += 1
            if len(call.args) < 2:
                name = f"{path}:{function}"
                assert name in WITHOUT, f"{name} commits without a failpoint: name one, or open `reading`"
                excused.add(name)
    assert excused == set(WITHOUT)
    assert seen > 70


def test_nothing_goes_around_the_database_that_names_failpoints() -> None:
    """Sessions and connections are opened by kernel/db.py alone."""
    for path, tree in modules("accounts", "agreements", "catalog", "checkout", "insights", "pricing", "web"):
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.Attribute) and node.attr in {"commit", "async_sessionmaker"}), path


def test_whoever_can_talk_to_a_network_is_known() -> None:
    found = set()
    for path, tree in modules("kernel", "accounts", "agreements", "catalog", "checkout", "insights", "pricing", "web"):
        for node in ast.walk(tree):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            if any(name == client or name.startswith(f"{client}.") for name in names for client in CLIENTS):
                found.add(path)
    assert found == set(SENDING)


def test_a_call_of_a_transport_of_a_sender_and_of_a_client_stands_between_its_failpoints() -> None:
    """`X.reach("before_call")` and `X.reach("after_call")` in the very function that has something sent."""
    sending = {
        "kernel/mail.py:send": "deliver",
        "agreements/receipt_post.py:send": "deliver",
        "agreements/stamps.py:_stamp": "_asked",
        "accounts/vies.py:_asked": "post",
        "accounts/webhooks/delivery.py:send": "post",
    }
    found = set()
    for path, tree in modules("kernel", "accounts", "agreements", "catalog", "checkout", "insights", "pricing", "web"):
        for function in functions(tree):
            name, nodes = f"{path}:{function.name}", list(ast.walk(function))
            texts = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
            if name in sending or any(text.endswith(("transport.deliver", "sender.post")) for text in texts):
                found.add(name)
                [sent] = [
                    node.lineno
                    for node in nodes
                    if sending[name] in (getattr(node, "attr", None), getattr(node, "id", None))
                    if isinstance(node, ast.Attribute | ast.Name)
                ]
                reached = {ast.unparse(node.args[0]): node.lineno for node in nodes if _reaches(node)}
                assert reached["'before_call'"] < sent < reached["'after_call'"], name
    assert found == set(sending)


def _reaches(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "reach"


def test_every_call_of_stripe_names_its_failpoint() -> None:
    """A method of the library's client stands in a call whose first word is the point, or in a pair that begins with
    the point: the table of steps in invoice_gateway.py.
    """
    found = 0
    for path, tree in modules("checkout"):
        held = {
            id(inner)
            for node in ast.walk(tree)
            for parts in [_after_a_point(node)]
            for part in parts
            for inner in ast.walk(part)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr.endswith("_async") and node.attr != "close_async":
                found += 1
                assert id(node) in held, f"{path}:{node.lineno} asks Stripe at no failpoint"
    assert found > 30


def _after_a_point(node: ast.AST) -> list[ast.expr]:
    """What stands after a failpoint in *node*: arguments of a call, or the rest of a tuple."""
    parts = node.args if isinstance(node, ast.Call) else node.elts if isinstance(node, ast.Tuple) else []
    match parts:
        case [ast.Name(id=name), *rest] if name.isupper() or name == "point":
            return rest
        case [ast.Call(func=ast.Name(id="Failpoint")), *rest]:
            return rest
        case _:
            return []


def test_a_step_of_the_table_is_sent_at_the_point_beside_it() -> None:
    """Or the pairs of invoice_gateway.py would be decoration."""
    source = Path(ROOT / "checkout" / "invoice_gateway.py").read_text(encoding="utf-8")
    [call] = [function for function in functions(ast.parse(source)) if function.name == "call"]
    text = ast.unparse(call)
    assert "point, send = _CALLS[step]" in text
    assert "self._gateway.write(point, lambda v1: send(" in text
