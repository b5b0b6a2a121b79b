"""Settings, from the environment alone."""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self

import msgspec

from kernel.errors import Malformed
from kernel.money import MalformedDecimal, Money, normal

VIES_URL = "https://ec.europa.eu/taxation_customs/vies/rest-api"
DEFAULT_SECRET = "demo-secret-key-not-for-production"  # noqa: S105 - production refuses it
SKUS_MAXIMUM = 100_000_000
SECRET_MINIMUM = 32
MINUTELY_MAXIMUM = 100_000_000
Mode = Literal["demo", "production"]


class SettingsError(Exception):
    """A setting is missing or unusable. The message says which and what to do."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How this installation runs. Secrets never appear in the text form."""

    mode: Mode
    var: Path
    port: int
    base_url: str
    database_url: str | None
    migration_database_url: str | None
    secret_key: str
    signing_keyring: Path
    stripe_api_key: str | None
    stripe_webhook_secrets: tuple[str, ...]
    stripe_api_base: str | None
    smtp_url: str | None
    vies_url: str | None
    """Where VAT numbers are asked about; None: nobody is asked."""
    tax_by_stripe: bool
    """Whether Stripe Tax calculates the tax of an order, instead of our rule tables."""
    capture_later_from: tuple[Money, ...]
    """In each of these currencies, the order total from which a card is charged only once staff captures."""
    lead_time_seconds: float
    price_approval: bool
    second_approval_percent: str | None
    second_approval_skus: int | None
    second_approval_margin: str | None
    workers: int
    quote_days_most: int
    import_bytes_most: int
    timestamp_url: str | None
    """Who stamps the ledger's heads (RFC 3161); nobody unless set."""
    timestamp_certificates: Path | None
    """PEM file of the certificates that vouch for them."""
    requests_a_minute: int
    """Of one API key."""
    guest_requests_a_minute: int
    """Of programs without a key, by the network they call from."""
    webhooks_to_loopback: bool
    """Whether webhooks may go to plain http on this machine: for development."""

    def __repr__(self) -> str:
        return f"Settings(mode={self.mode!r}, base_url={self.base_url!r}, var={str(self.var)!r})"

    __str__ = __repr__

    @property
    def production(self) -> bool:
        return self.mode == "production"

    @property
    def second_approval(self) -> bool:
        """Whether anything asks for a second approver of prices."""
        asked = (self.second_approval_percent, self.second_approval_skus, self.second_approval_margin)
        return any(each is not None for each in asked)

    @property
    def https(self) -> bool:
        return self.base_url.startswith("https://")

    @property
    def test_payments(self) -> bool:
        """True when no charge made here is real, so that every page has to say so."""
        return self.stripe_api_key is None or not self.stripe_api_key.startswith(("sk_live_", "rk_live_"))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read the settings.

        :raises SettingsError: when one is unusable, or when production would run on a default
        """
        env = os.environ if environment is None else environment
        mode = env.get("TARIFA_MODE", "demo")
        if mode not in {"demo", "production"}:
            raise SettingsError(f"TARIFA_MODE is {mode!r}; it must be demo or production")
        var = Path(env.get("VAR") or "var").resolve()
        port = _integer(env, "PORT", 8000, minimum=1, maximum=65535)
        secrets = tuple(part for part in env.get("STRIPE_WEBHOOK_SECRET", "").replace(",", " ").split() if part)
        settings = cls(
            mode="production" if mode == "production" else "demo",
            var=var,
            port=port,
            base_url=(env.get("BASE_URL") or f"http://127.0.0.1:{port}").rstrip("/"),
            database_url=env.get("DATABASE_URL") or None,
            migration_database_url=env.get("MIGRATION_DATABASE_URL") or env.get("DATABASE_URL") or None,
            secret_key=env.get("SECRET_KEY") or DEFAULT_SECRET,
            signing_keyring=Path(env.get("SIGNING_KEYRING") or var / "keyring.json"),
            stripe_api_key=env.get("STRIPE_API_KEY") or None,
            stripe_webhook_secrets=secrets,
            stripe_api_base=env.get("STRIPE_API_BASE") or None,
            smtp_url=env.get("SMTP_URL") or None,
            vies_url=_vies(env),
            tax_by_stripe=_tax(env),
            price_approval=_approval(env, mode),
            second_approval_percent=_percent(env, "PRICE_SECOND_APPROVAL_PERCENT", minimum=0, below=None),
            second_approval_skus=(
                _integer(env, "PRICE_SECOND_APPROVAL_SKUS", 0, minimum=0, maximum=SKUS_MAXIMUM)
                if env.get("PRICE_SECOND_APPROVAL_SKUS")
                else None
            ),
            second_approval_margin=_percent(env, "PRICE_SECOND_APPROVAL_MARGIN", minimum=None, below=100),
            capture_later_from=_amounts(env, "CAPTURE_LATER_FROM"),
            lead_time_seconds=_number(env, "PRICE_LEAD_TIME", 10.0, minimum=0.1, maximum=86400.0),
            workers=_integer(env, "WORKERS", 1, minimum=1, maximum=64),
            quote_days_most=_integer(env, "QUOTE_DAYS_MOST", 90, minimum=1, maximum=3650),
            import_bytes_most=_integer(env, "IMPORT_BYTES_MOST", 500_000_000, minimum=1_000, maximum=5_000_000_000),
            timestamp_url=env.get("TIMESTAMP_URL") or None,
            timestamp_certificates=(Path(env["TIMESTAMP_CERTIFICATES"]) if env.get("TIMESTAMP_CERTIFICATES") else None),
            requests_a_minute=_integer(env, "API_REQUESTS_A_MINUTE", 1200, minimum=1, maximum=MINUTELY_MAXIMUM),
            guest_requests_a_minute=_integer(
                env, "API_GUEST_REQUESTS_A_MINUTE", 300, minimum=1, maximum=MINUTELY_MAXIMUM
            ),
            webhooks_to_loopback=_switch(env, "WEBHOOKS_TO_LOOPBACK"),
        )
        if settings.timestamp_url is not None and settings.timestamp_certificates is None:
            raise SettingsError(
                "TIMESTAMP_URL is set: name a PEM file of the authority's certificates in TIMESTAMP_CERTIFICATES"
            )
        if settings.second_approval and not settings.price_approval:
            raise SettingsError("PRICE_SECOND_APPROVAL_... asks for a second approver; set PRICE_APPROVAL=required")
        if settings.production:
            settings.refuse_defaults(env)
        return settings

    def refuse_defaults(self, env: Mapping[str, str]) -> None:
        """Refuse to serve real buyers on demo secrets, test payments or an address that leaks cookies.

        :raises SettingsError: naming every such setting at once
        """
        wrong = [
            sentence
            for bad, sentence in (
                (
                    self.secret_key == DEFAULT_SECRET or len(self.secret_key) < SECRET_MINIMUM,
                    f"SECRET_KEY must be set to at least {SECRET_MINIMUM} random characters",
                ),
                (self.test_payments, "STRIPE_API_KEY must be a live key: production takes no test payments"),
                (
                    self.stripe_api_base is not None,
                    "STRIPE_API_BASE must not be set: production talks to Stripe itself",
                ),
                (not self.stripe_webhook_secrets, "STRIPE_WEBHOOK_SECRET must hold the endpoint's signing secret"),
                (not env.get("SIGNING_KEYRING"), "SIGNING_KEYRING must name the keyring file"),
                (not self.https, "BASE_URL must start with https://"),
                (self.smtp_url is None, "SMTP_URL must be set: buyers wait for their codes and confirmations"),
                (
                    self.webhooks_to_loopback,
                    "WEBHOOKS_TO_LOOPBACK must not be on: partners could reach what listens on this machine",
                ),
            )
            if bad
        ]
        if wrong:
            raise SettingsError("production refuses to start:\n" + "\n".join(f"  - {sentence}" for sentence in wrong))


def _approval(env: Mapping[str, str], mode: str) -> bool:
    text = env.get("PRICE_APPROVAL") or ("required" if mode == "production" else "off")
    if text not in {"required", "off"}:
        raise SettingsError(f"PRICE_APPROVAL is {text!r}; it must be required or off")
    return text == "required"


def _vies(env: Mapping[str, str]) -> str | None:
    text = env.get("TAX_ID_CHECK") or "format"
    if text not in {"format", "vies"}:
        raise SettingsError(f"TAX_ID_CHECK is {text!r}; it must be format or vies")
    return (env.get("VIES_URL") or VIES_URL).rstrip("/") if text == "vies" else None


def _tax(env: Mapping[str, str]) -> bool:
    text = env.get("TAX") or "rules"
    if text not in {"rules", "stripe"}:
        raise SettingsError(f"TAX is {text!r}; it must be rules or stripe")
    return text == "stripe"


def _switch(env: Mapping[str, str], name: str) -> bool:
    text = env.get(name) or "off"
    if text not in {"on", "off"}:
        raise SettingsError(f"{name} is {text!r}; it must be on or off")
    return text == "on"


def _percent(env: Mapping[str, str], name: str, *, minimum: int | None, below: int | None) -> str | None:
    """In normal form; None where it is not set."""
    text = env.get(name)
    if not text:
        return None
    try:
        value = normal(text)
    except MalformedDecimal:
        raise SettingsError(f"{name} is {text!r}; it must be a percentage like 12.5") from None
    if (minimum is not None and Decimal(value) < minimum) or (below is not None and Decimal(value) >= below):
        limits = [f"at least {minimum}" if minimum is not None else "", f"below {below}" if below is not None else ""]
        raise SettingsError(f"{name} is {text}; it must be {' and '.join(filter(None, limits))}")
    return value


def _amounts(env: Mapping[str, str], name: str) -> tuple[Money, ...]:
    """One amount at most of a currency, such as `5000 EUR, 6000 USD`."""
    found: dict[str, Money] = {}
    for part in filter(None, (each.strip() for each in env.get(name, "").split(","))):
        number, _, currency = part.partition(" ")
        try:
            amount = Money.parse(number, currency.strip())
        except Malformed:
            raise SettingsError(f"{name} is {env[name]!r}; it must be amounts like 5000 EUR, 6000 USD") from None
        if amount.minor < 0 or amount.currency in found:
            raise SettingsError(f"{name} is {env[name]!r}; it must name each currency once, with no amount below 0")
        found[amount.currency] = amount
    return tuple(found.values())


def _integer(env: Mapping[str, str], name: str, default: int, *, minimum: int, maximum: int) -> int:
    text = env.get(name) or str(default)
    try:
        value = int(text)
    except ValueError:
        raise SettingsError(f"{name} is {text!r}; it must be a whole number") from None
    if not minimum <= value <= maximum:
        raise SettingsError(f"{name} is {value}; it must lie between {minimum} and {maximum}")
    return value


def _number(env: Mapping[str, str], name: str, default: float, *, minimum: float, maximum: float) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        raise SettingsError(f"{name} is {text!r}; it must be a number of seconds") from None
    if not minimum <= value <= maximum:
        raise SettingsError(f"{name} is {text}; it must lie between {minimum:g} and {maximum:g}")
    return value
