"""Currencies of the twin: decimals and the least charge, in minor units.

Minimums as Stripe publishes them (docs.stripe.com/currencies); where it publishes none, half a US dollar at a round
rate stands in, as Stripe itself converts to the account's currency.
"""

ZERO_DECIMALS = frozenset(
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"]
)
THREE_DECIMALS = frozenset(["bhd", "jod", "kwd", "omr", "tnd"])
WHOLE_UNITS_ONLY = frozenset({"isk", "ugx"})  # two decimals on the wire, which must be 00
MINIMUM_CHARGE = {
    "aed": 200, "aud": 50, "bhd": 200, "brl": 50, "cad": 50, "chf": 50, "clp": 500, "czk": 1500, "dkk": 250, "eur": 50,
    "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "isk": 7500, "jod": 360, "jpy": 50, "krw": 700, "kwd": 160,
    "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "omr": 200, "pln": 200, "ron": 200, "sek": 300, "sgd": 50,
    "thb": 1000, "tnd": 1600, "twd": 1600, "ugx": 190000, "usd": 50, "vnd": 13000, "zar": 1000,
}  # fmt: skip
MAXIMUM_CHARGE = 99_999_999


def decimals(currency: str) -> int:
    if currency in ZERO_DECIMALS:
        return 0
    return 3 if currency in THREE_DECIMALS else 2


def display(amount_minor: int, currency: str) -> str:
    """``1,234.50 EUR``; for people, never for comparison."""
    places = decimals(currency)
    whole, part = divmod(amount_minor, 10**places)
    return f"{whole:,}.{part:0{places}d} {currency.upper()}" if places else f"{whole:,} {currency.upper()}"
