import json
from pathlib import Path

import httpx
import pytest
import stripe

from sandbox.stripe_twin import RunningTwin, tally
from sandbox.stripe_twin.account import Account, ContractViolation
from sandbox.stripe_twin.contract import DERIVED, Contract, MalformedForm
from sandbox.stripe_twin.derived.derive_skeletons import derive
from sandbox.stripe_twin.operations import OPERATIONS


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract()


def test_every_skeleton_is_valid_and_nothing_can_be_added_to_it(contract: Contract) -> None:
    assert len(contract.skeletons) >= 32
    for kind, skeleton in contract.skeletons.items():
        assert contract.object_problems(kind, skeleton) == [], kind
        if kind != "event":
            assert contract.object_problems(kind, {**skeleton, "surprise": 1}), kind


def test_the_skeletons_are_what_the_contract_gives() -> None:
    document = json.loads((DERIVED / "contract.json").read_text(encoding="utf-8"))
    assert derive(document) == json.loads((DERIVED / "skeletons.json").read_text(encoding="utf-8"))


def test_the_contract_is_of_the_version_that_stripes_library_speaks(contract: Contract) -> None:
    assert contract.version == stripe.api_version


def test_every_operation_of_the_twin_is_one_of_the_contract(contract: Contract) -> None:
    names = {operation.name for operation in contract._operations}
    assert set(OPERATIONS) <= names
    assert len(names) == 149


def test_a_literal_path_wins_over_a_placeholder(contract: Contract) -> None:
    found = contract.find("GET", "/v1/charges/search")
    assert found is not None
    assert found[0].name == "Charges.search"


def test_forms_become_typed_parameters(contract: Contract) -> None:
    found = contract.find("GET", "/v1/checkout/sessions")
    assert found is not None
    params, problems = contract.read_params(found[0], "created[gte]=5&limit=3&expand[]=data.customer&expand[]=x")
    assert problems == []
    assert params == {"created": {"gte": 5}, "limit": 3, "expand": ["data.customer", "x"]}


@pytest.mark.parametrize("form", ["limit=x", "limit=1.5", "created[like]=3", "nothing=1", "expand=a"])
def test_what_the_contract_does_not_know_is_a_problem(contract: Contract, form: str) -> None:
    found = contract.find("GET", "/v1/checkout/sessions")
    assert found is not None
    assert contract.read_params(found[0], form)[1]


def test_contradicting_names_are_malformed(contract: Contract) -> None:
    found = contract.find("GET", "/v1/checkout/sessions")
    assert found is not None
    for form in ("created=1&created[gt]=2", "created[gt]=2&created=1"):
        with pytest.raises(MalformedForm):
            contract.read_params(found[0], form)


def test_an_answer_outside_the_contract_is_500_and_counted(
    twin: RunningTwin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tally"
    folder.mkdir()
    monkeypatch.setenv(tally.VARIABLE, str(folder))
    broken = Contract()
    broken.skeletons["customer"]["surprise"] = 1
    twin.control.account.contract = broken
    answer = httpx.post(f"{twin.base_url}/v1/customers", headers={"Authorization": "Bearer sk_test_x"})
    assert answer.status_code == 500
    assert "breaks Stripe's contract" in answer.json()["error"]["message"]
    assert twin.control.objects("customer") == []
    assert twin.control.objects("event") == []
    assert [found["direction"] for found in twin.control.violations()] == ["webhook"]
    twin.control.store.clear_violations()
    told = tally.Tally.of(folder)
    assert (told["answer"], told["answer checked"], told["broken"]) == (1, 1, 1)  # the 500 is Stripe's own
    assert not told.fine


def test_an_event_of_no_known_type_is_refused(twin: RunningTwin) -> None:
    account: Account = twin.control.account
    with account.store.transaction():
        customer = account.create("customer")
        with pytest.raises(ContractViolation, match="no event type"):
            account.emit("customer.sang", customer)
