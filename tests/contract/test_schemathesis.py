"""schemathesis asks the served app whatever the committed document allows and forbids, as a guest, and as a partner
or, where only the desk may, as its clerk.

Its checks: no 5xx, only documented statuses, media types, headers and bodies, methods refused with Allow, wrong data
refused, right data accepted.
"""

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.config import SchemathesisConfig

from tests.contract.conftest import Served, as_program
from tests.contract.known import KNOWN
from web.api.document import COMMITTED

EXAMPLES = 25
EXAMPLES_OF_FILES = 4  # each is the whole price book
EXAMPLES_OF_A_STRANGER = 4  # without a key where one is needed, every answer is 401 or 400
DOCUMENT: dict[str, Any] = json.loads(COMMITTED.read_bytes())
OPERATIONS = [(path, method.upper()) for path, methods in DOCUMENT["paths"].items() for method in methods]
ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", "429"]
"""What may be answered to a question that is right in form."""
MORE_ACCEPTED = {
    "/api/v1/feed.csv": ["416"],  # a part that the file has not
    "/api/v1/feed.parquet": ["416"],
    "/api/v1/orders": ["400", "422"],  # both lines and a quote; goods that nobody sells, an address that is blank
    "/api/v1/signed-quotes": ["422"],  # of a SKU that nobody sells
    "/api/v1/webhook-endpoints": ["422"],  # an address that we send nothing to
    "/api/v1/webhook-endpoints/{endpoint_id}": ["422"],
    "/api/v1/webhook-endpoints/{endpoint_id}/replay": ["400"],  # since a day that no calendar has
    "/api/v1/price-feed": ["410"],  # from a state that is no longer at hand
    "/api/v1/price-books/{root}/delta": ["410"],
    "/api/v1/desk/drafts/{draft}/object": ["400", "412", "422", "428"],  # parts of another kind's key, no such content
    "/api/v1/desk/drafts/{draft}/change": ["400", "422"],
    "/api/v1/desk/drafts/{draft}/acknowledgements": ["422"],  # blanks are no reason
    "/api/v1/desk/drafts/{draft}/return": ["422"],
    "/api/v1/desk/drafts/{draft}/publication": ["400", "422"],  # an instant that no calendar has, or gone by
    "/api/v1/desk/publications/{number}/rollback": ["400", "422"],
    "/api/v1/desk/drafts/{draft}/impacts": ["400", "422"],
    "/api/v1/desk/drafts/{draft}/preview": ["400", "422"],
    "/api/v1/desk/drafts/{draft}/comments": ["422"],
}
DESK = "/api/v1/desk/"
FILES = (".csv", ".parquet", ".xlsx", ".zip")
COUNTING = {"date", "ratelimit"}
CONFIG = SchemathesisConfig.from_dict(
    {
        "operations": [
            {
                "include-path": path,
                "checks": {"positive_data_acceptance": {"expected-statuses": [*ACCEPTED, *statuses]}},
            }
            for path, statuses in MORE_ACCEPTED.items()
        ]
    }
)
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)


def who_asks(path: str) -> str:
    """Whose key opens what of an address, if any does."""
    return "clerk" if path.startswith(DESK) else "acme"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "method", "company"),
    [(path, method, who) for path, method in OPERATIONS for who in (None, who_asks(path))],
)
def test_what_is_answered_is_what_is_documented(served: Served, path: str, method: str, company: str | None) -> None:
    operation = SCHEMA[path][method]
    KNOWN.update(served.known)
    headers = {} if company is None else {"Authorization": f"Bearer {served.keys[company]}"}
    described = DOCUMENT["paths"][path][method.lower()]
    takes_anything = described.keys() & {"parameters", "requestBody"}
    examples = EXAMPLES_OF_FILES if path.endswith(FILES) else EXAMPLES
    if company is None and {} not in described.get("security", [{}]):
        examples = EXAMPLES_OF_A_STRANGER
    for mode in schemathesis.GenerationMode if takes_anything else [schemathesis.GenerationMode.POSITIVE]:

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(base_url=served.url, headers=headers)

        ask()


@pytest.mark.parametrize(
    ("path", "method"),
    [(path, method) for path, method in OPERATIONS if "{number}" in path and not path.startswith(DESK)],
)
def test_another_companys_id_answers_as_a_missing_one_wherever_an_id_is_taken(
    served: Served, path: str, method: str
) -> None:
    with as_program(served, "acme") as acme, as_program(served, "globex") as globex:
        for program, own, foreign in (
            (acme, served.orders["acme"], served.orders["globex"]),
            (globex, served.orders["globex"], served.orders["acme"]),
        ):
            mine = program.request(method, path.replace("{number}", own))
            theirs = program.request(method, path.replace("{number}", foreign))
            missing = program.request(method, path.replace("{number}", "T-2026-999999"))

            assert mine.status_code == 200
            assert (theirs.status_code, theirs.content) == (missing.status_code, missing.content)
            assert theirs.status_code == 404
            assert {key: value for key, value in theirs.headers.items() if key not in COUNTING} == {
                key: value for key, value in missing.headers.items() if key not in COUNTING
            }
