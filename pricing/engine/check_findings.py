"""What a check of a book says: findings, each with a question that shows it, and their words."""

from enum import StrEnum
from typing import Final

import msgspec

from kernel.money import ratio
from pricing.engine.book import Currency, DecimalText, Instant, Noun
from pricing.engine.request import Answer, Buyer

EXAMPLES: Final = 3
"""How many other SKUs a finding names."""


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Witness(Answer, frozen=True, kw_only=True):
    """A question that shows the finding."""

    buyer: Buyer
    currency: Currency
    sku: str
    unit: str
    quantity: str
    at: Instant


class Finding(Answer, frozen=True, kw_only=True):
    """*code* is stable and words itself by `finding_text`; *params* say which objects.

    What differs in its SKU alone is one finding: *params* then has the worst case, `count`, the number of SKUs, and in
    `others` a few of them.
    """

    code: str
    severity: Severity
    params: dict[str, str]
    witness: Witness | None


class Thresholds(Noun, frozen=True, kw_only=True):
    """What is worth a warning: a margin, (price - cost) / price, below *margin_percent*, and a price that moves by more
    than *jump_percent* against the book in force, up or down.
    """

    margin_percent: DecimalText = "0"
    jump_percent: DecimalText = "25"

    def __post_init__(self) -> None:
        """:raises ValueError: for a margin of 100 % or more, or a jump below 0"""
        number, over = ratio(self.margin_percent)
        if number >= 100 * over or ratio(self.jump_percent)[0] < 0:
            raise ValueError("State a margin below 100 % and a jump of 0 % or more.")


_TEXTS: Final = {
    # --- errors ---
    "duplicate_key": (
        "Two objects of kind {kind} have the key {key}.",
        "Dos objetos de tipo {kind} tienen la clave {key}.",
    ),
    "unknown_reference": (
        "{kind} {key} names the unknown {what} {name}.",
        "{kind} {key} nombra algo desconocido: {what} {name}.",
    ),
    "not_loadable": ("{detail}", "{detail}"),
    "overlapping_windows": (
        "List {list} has two rows of {sku} per {unit} that are valid at {at}.",
        "La tarifa {list} tiene dos filas de {sku} por {unit} válidas el {at}.",
    ),
    "possible_tie": (
        "The lists {one} and {other} have equal rank, and a buyer may meet both for {sku}. Change a priority.",
        "Las tarifas {one} y {other} tienen igual rango y un comprador puede ver ambas ({sku}). Cambie una prioridad.",
    ),
    "bound_not_covered": (
        "The bound {bound} says nothing of {currency}, in which {sku} is sold.",
        "El límite {bound} no dice nada de {currency}, moneda en que se vende {sku}.",
    ),
    "floor_above_ceiling": (
        "For {sku} in {currency} the floor {floor} lies above the ceiling {ceiling}.",
        "Para {sku} en {currency} el mínimo {floor} supera al máximo {ceiling}.",
    ),
    "mixed_break_group": (
        "The break group {group} mixes SKUs counted in {units}.",
        "El grupo {group} mezcla SKU contados en {units}.",
    ),
    # --- warnings: what does nothing ---
    "matches_nothing": ("{kind} {key} matches no SKU.", "{kind} {key} no corresponde a ningún SKU."),
    "names_nothing": (
        "{kind} {key} names the {what} {name}, which no SKU has.",
        "{kind} {key} nombra {what} {name}, que ningún SKU tiene.",
    ),
    "matches_nobody": (
        "{kind} {key} is for buyers of whom there is none today.",
        "{kind} {key} es para compradores que hoy no existen.",
    ),
    "never_priced": ("{sku} has no price in any list.", "{sku} no tiene precio en ninguna tarifa."),
    "ended": (
        "Of kind {kind}, {count} did their work before {at} and do nothing any more: {keys}.",
        "De tipo {kind}, {count} terminaron antes de {at} y ya no hacen nada: {keys}.",
    ),
    "list_never_prices": (
        "List {list} never gives a price: for {sku} every buyer who sees it gets {by} first.",
        "La tarifa {list} nunca da un precio: para {sku} todo comprador que la ve recibe antes {by}.",
    ),
    "row_never_prices": (
        "In list {list} the price of {sku} per {unit} is never taken: every buyer who sees it gets {by} first.",
        "En la tarifa {list} nunca se toma el precio de {sku} por {unit}: todo comprador que la ve recibe antes {by}.",
    ),
    "tier_never_reached": (
        "In list {list} no quantity that may be bought reaches the tier of {sku} from {begin} {unit}.",
        "En la tarifa {list} ninguna cantidad que pueda comprarse alcanza el tramo de {sku} desde {begin} {unit}.",
    ),
    "rule_never_acts": (
        "The rule {rule} never acts on a price: {why}.",
        "La regla {rule} nunca actúa sobre un precio: {why}.",
    ),
    "effect_passed_over": (
        "The rule {rule} acts on unit prices only; {sku} has none in list {list}, so it does nothing there.",
        "La regla {rule} solo actúa sobre precios por unidad; {sku} no lo tiene en la tarifa {list} y allí no actúa.",
    ),
    # --- warnings: what a price does ---
    "total_falls": (
        "By {by}, more cost less: {quantity} {unit} of {sku} cost {before} {currency}, {more} cost {after}.",
        "Con {by}, más cuestan menos: {quantity} {unit} de {sku} cuestan {before} {currency}, y {more}, {after}.",
    ),
    "dearer_than_public": (
        "By {by}, {who} pays more than everyone: {quantity} {unit} of {sku} for {amount} {currency}, not {public}.",
        "Con {by}, {who} paga más que todos: {quantity} {unit} de {sku} por {amount} {currency}, no por {public}.",
    ),
    "low_margin": (
        (
            "By {by}, a margin is below {threshold} %: {quantity} {unit} of {sku} for {amount} {currency} leave "
            "{margin} %."
        ),
        (
            "Con {by}, un margen no llega al {threshold} %: {quantity} {unit} de {sku} por {amount} {currency} dejan "
            "{margin} %."
        ),
    ),
    "price_jumps": (
        (
            "By {by}, a price moves by over {threshold} %: {quantity} {unit} of {sku} for {amount} {currency}, so far "
            "{before} ({percent} %)."
        ),
        (
            "Con {by}, un precio cambia más del {threshold} %: {quantity} {unit} de {sku} por {amount} {currency}, "
            "hasta ahora {before} ({percent} %)."
        ),
    ),
}
_IN_ALL: Final = (" In all {count} SKUs, {others} among them.", " En total {count} SKU, entre ellos {others}.")
WHY: Final = {
    "beaten": ("{by} comes before it wherever it could", "{by} va antes siempre que podría hacerlo"),
    "unable": (
        "its conditions and window are never met where it applies",
        "sus condiciones y su plazo nunca se cumplen donde se aplica",
    ),
}


def finding_text(finding: Finding, language: str) -> str:
    """What is wrong, in `en` or `es`."""
    return worded(finding, _TEXTS[finding.code], language)


def worded(finding: Finding, texts: tuple[str, str], language: str) -> str:
    """The text with the finding's params, and how many SKUs it is about."""
    column, params = language == "es", finding.params
    if "reason" in params:
        params = {**params, "why": WHY[params["reason"]][column].format(**params)}
    text = texts[column].format(**params)
    return text + _IN_ALL[column].format(**params) if "others" in params else text


def error(code: str, witness: Witness | None = None, **params: str) -> Finding:
    return Finding(code=code, severity=Severity.ERROR, params=params, witness=witness)


def warning(code: str, witness: Witness | None = None, **params: str) -> Finding:
    return Finding(code=code, severity=Severity.WARNING, params=params, witness=witness)


def of_several(finding: Finding, skus: list[str]) -> Finding:
    """The finding as one about all *skus*, of which it shows one."""
    named = finding.params["sku"]
    distinct = set(skus)
    if len(distinct) < 2:
        return finding
    others = sorted(distinct - {named})[:EXAMPLES]
    return msgspec.structs.replace(
        finding, params={**finding.params, "count": str(len(distinct)), "others": ", ".join(others)}
    )
