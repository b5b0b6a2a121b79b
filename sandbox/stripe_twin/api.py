"""One API request from its headers to its answer: key, version, parameters, idempotency, operation, contract."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sandbox.stripe_twin import tally
from sandbox.stripe_twin.account import NOBODY, Account, Caller, ContractViolation, random_id
from sandbox.stripe_twin.contract import MalformedForm, Operation, Problem
from sandbox.stripe_twin.errors import JsonObject, StripeError, invalid, not_implemented
from sandbox.stripe_twin.faults import Fault
from sandbox.stripe_twin.operations import OPERATIONS
from sandbox.stripe_twin.store import SavedAnswer

KEY_LIFE = 24 * 60 * 60


@dataclass(frozen=True)
class ApiRequest:
    """*target* is path and query; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: str

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def form(self) -> str:
        return self.body if self.method == "POST" else urlsplit(self.target).query


@dataclass(frozen=True)
class ApiAnswer:
    """*checked*: the contract has allowed this body of a 200."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    checked: bool = False


class Api:
    """Answers requests, each under its idempotency key, one operation at a time."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._store = account.store
        self._in_flight: set[str] = set()
        self._in_flight_lock = threading.Lock()

    def answer(self, request: ApiRequest, fault: Fault | None = None) -> ApiAnswer:
        """Never raises: what goes wrong becomes an answer. *fault* is what this request suffers inside the API."""
        request_id = random_id("req_", 14)
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        params: JsonObject = {}
        try:
            operation, ids, params = self._understand(request)
            with self._claimed(key):
                answer = self._once(request, operation, ids, params, key, request_id, fault)
        except StripeError as error:
            answer = ApiAnswer(error.status, _encoded(error.body))
        self._tell(request, answer)
        headers = {"Request-Id": request_id, "Stripe-Version": self._account.contract.version, **answer.headers}
        if key is not None:
            headers["Idempotency-Key"] = key
        self._store.add_request(
            at=self._account.clock.seconds(),
            method=request.method,
            path=request.path,
            params=params,
            key=key,
            request_id=request_id,
            outcome=f"{answer.status}{' replayed' if 'Idempotent-Replayed' in headers else ''}",
        )
        return ApiAnswer(answer.status, answer.body, headers)

    def _tell(self, request: ApiRequest, answer: ApiAnswer) -> None:
        """Count an answer that leaves; here errors are checked, and those that a fault or an earlier key gave."""
        tally.count("answer")
        if answer.status != 200:
            problems = self._account.contract.error_problems(json.loads(answer.body))
            if problems:
                told = [str(problem) for problem in problems]
                self._store.add_violation("answer", request.path, told, at=self._account.clock.seconds())
                return
        if answer.status != 200 or answer.checked:
            tally.count("answer checked")

    def _understand(self, request: ApiRequest) -> tuple[Operation, tuple[str, ...], JsonObject]:
        _check_key(request.headers.get("authorization", ""))
        contract = self._account.contract
        version = request.headers.get("stripe-version", contract.version)
        if version != contract.version:
            message = f"Invalid Stripe API version: {version}. The Stripe twin speaks only {contract.version}."
            raise invalid(message, saved=False)
        found = contract.find(request.method, request.path)
        if found is None:
            message = f"Unrecognized request URL ({request.method}: {request.path})."
            raise StripeError(404, "invalid_request_error", message, saved=False)
        operation, ids = found
        try:
            params, problems = contract.read_params(operation, request.form)
        except MalformedForm as error:
            params, problems = {}, [Problem("", str(error))]
        if problems:
            at = self._account.clock.seconds()
            self._store.add_violation("request", operation.name, [str(problem) for problem in problems], at=at)
            raise _refusal(problems[0])
        return operation, ids, params

    @contextmanager
    def _claimed(self, key: str | None) -> Iterator[None]:
        """Only one request at a time may use a key."""
        if key is None:
            yield
            return
        if len(key) > 255:
            raise invalid("Idempotency keys can be at most 255 characters long.", saved=False)
        with self._in_flight_lock:
            if key in self._in_flight:
                message = (
                    "There is currently another in-progress request using this Idempotent Key (that probably means you "
                    f"submitted twice, and the other request is still going through): {key}. Please try again later."
                )
                raise StripeError(409, "idempotency_error", message, code="idempotency_key_in_use", saved=False)
            self._in_flight.add(key)
        try:
            yield
        finally:
            with self._in_flight_lock:
                self._in_flight.discard(key)

    def _once(
        self,
        request: ApiRequest,
        operation: Operation,
        ids: tuple[str, ...],
        params: JsonObject,
        key: str | None,
        request_id: str,
        fault: Fault | None,
    ) -> ApiAnswer:
        """The saved answer of *key* or a new one, which is saved in the transaction that makes its effects."""
        fingerprint = json.dumps([request.method, request.path, params], sort_keys=True)
        if fault is not None and fault.kind == "slow":
            time.sleep(fault.seconds)
        saved = self._saved(key, fingerprint)
        if saved is not None:
            return saved
        if fault is not None and fault.kind == "error" and not fault.after:
            body = _encoded(fault.error_body())
            self._save(key, fingerprint, fault.status, body, request_id, wanted=bool(fault.saved))
            return ApiAnswer(fault.status, body)
        try:
            with self._store.transaction():
                status, document = self._perform(operation, ids, params, Caller(request_id, key))
                if fault is not None and fault.kind == "error":
                    status, document = fault.status, fault.error_body()
                body = _encoded(document)
                self._save(key, fingerprint, status, body, request_id, wanted=fault is None or fault.saved is not False)
        except ContractViolation as error:
            at = self._account.clock.seconds()
            self._store.add_violation(error.direction, error.subject, error.problems, at=at)
            raise
        except StripeError as error:
            self._save(key, fingerprint, error.status, _encoded(error.body), request_id, wanted=error.saved)
            raise
        return ApiAnswer(status, body, checked=status == 200)

    def _saved(self, key: str | None, fingerprint: str) -> ApiAnswer | None:
        not_before = self._account.clock.seconds() - KEY_LIFE
        saved = self._store.find_answer(key, not_before=not_before) if key is not None else None
        if saved is None:
            return None
        if saved.fingerprint != fingerprint:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request."
            )
            raise StripeError(400, "idempotency_error", message, saved=False)
        headers = {"Idempotent-Replayed": "true", "Original-Request": saved.request_id}
        return ApiAnswer(saved.status, saved.body, headers, checked=True)  # it was when it was saved

    def _perform(
        self, operation: Operation, ids: tuple[str, ...], params: JsonObject, caller: Caller
    ) -> tuple[int, JsonObject]:
        handler = OPERATIONS.get(operation.name)
        if handler is None:
            raise not_implemented(f"{operation.name} ({operation.method} {operation.path})")
        account = self._account
        account.caller = caller
        try:
            answer = account.expand(handler(account, ids, dict(params)), _expansions(params))
        except StripeError as error:
            if not error.keep_effects:
                raise
            return error.status, error.body
        finally:
            account.caller = NOBODY
        problems = account.contract.answer_problems(operation, answer)
        if problems:
            raise account.violated("answer", operation.name, problems)
        return 200, answer

    def _save(
        self, key: str | None, fingerprint: str, status: int, body: bytes, request_id: str, *, wanted: bool
    ) -> None:
        if key is not None and wanted:
            answer = SavedAnswer(fingerprint, status, body, request_id)
            self._store.save_answer(key, answer, created=self._account.clock.seconds())


def _encoded(document: JsonObject) -> bytes:
    return json.dumps(document, indent=2).encode()


def _expansions(params: JsonObject) -> list[str]:
    paths: list[str] = params.get("expand", [])
    return paths


def _check_key(authorization: str) -> None:
    scheme, _, key = authorization.partition(" ")
    if scheme.lower() != "bearer" or not key:
        message = "You did not provide an API key. Provide it as a bearer token: `Authorization: Bearer sk_test_...`."
        raise StripeError(401, "invalid_request_error", message, saved=False)
    if not key.startswith("sk_test_"):
        # Never repeat the key: it could be a real one, sent here by mistake.
        message = "Invalid API Key provided: the Stripe twin takes only keys that begin with sk_test_."
        raise StripeError(401, "invalid_request_error", message, saved=False)


def _refusal(problem: Problem) -> StripeError:
    if problem.unknown == "payment_method_types":
        message = (
            "The `payment_method_types` parameter is no longer supported on this API version. "
            "Use `allowed_payment_method_types` instead."
        )
        return invalid(message, code="parameter_unknown", param="payment_method_types", saved=False)
    if problem.unknown is not None:
        message = f"Received unknown parameter: {problem.unknown}"
        return invalid(message, code="parameter_unknown", param=problem.unknown, saved=False)
    if problem.required is not None:
        message = f"Missing required param: {problem.required}."
        return invalid(message, code="parameter_missing", param=problem.required, saved=False)
    return invalid(f"Invalid {problem.path or 'request'}: {problem.message}", param=problem.path or None, saved=False)
