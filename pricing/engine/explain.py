"""The words of a trace, in English and Spanish. A book stores codes; the texts stand here and nowhere else.

A template names the parameters it shows in braces. Numbers are shown as the trace has them.
"""

from typing import Final

from pricing.engine.request import Cliff, Loser, NextBreak, PricedLine, RefusedLine, Step

LANGUAGES: Final = ("en", "es")

_STEPS: Final[dict[str, tuple[str, str]]] = {
    "list_price": ("List price {rule}", "Precio de la tarifa {rule}"),
    "list_amount": ("Amount by the tiers of {rule}", "Importe según los tramos de {rule}"),
    "percent_off": ("{title}: {percent} % off", "{title}: {percent} % de descuento"),
    "percent_on": ("{title}: {percent} % surcharge", "{title}: {percent} % de recargo"),
    "amount_off": ("{title}: {amount} off", "{title}: {amount} de descuento"),
    "amount_on": ("{title}: {amount} surcharge", "{title}: {amount} de recargo"),
    "fixed_price": ("{title}: fixed price", "{title}: precio fijo"),
    "quantity_table": ("{title}: discount by quantity", "{title}: descuento por cantidad"),
    "buy_get": ("{title}: of {buy} + {get}, {get} free", "{title}: de {buy} + {get}, {get} gratis"),
    "floor": ("House bound: not below", "Límite de la casa: no por debajo"),
    "ceiling": ("House bound: not above", "Límite de la casa: no por encima"),
    "floor_named": ("{rule}: not below", "{rule}: no por debajo"),
    "ceiling_named": ("{rule}: not above", "{rule}: no por encima"),
    "never_below_zero": ("Never below zero", "Nunca por debajo de cero"),
    "times_quantity": ("Times {quantity}", "Por {quantity}"),
    "plus_fee": ("Plus the fee of {fee}", "Más la cuota de {fee}"),
    **dict.fromkeys(
        ("half_up", "half_even", "half_down", "up", "down"),
        ("Rounded to {decimals} decimals", "Redondeado a {decimals} decimales"),
    ),
    "ceiling_mode": ("Rounded up to {decimals} decimals", "Redondeado hacia arriba a {decimals} decimales"),
    "floor_mode": ("Rounded down to {decimals} decimals", "Redondeado hacia abajo a {decimals} decimales"),
}
_FEE: Final = (", plus the fee of {fee}", ", más la cuota de {fee}")

_LOSERS: Final[dict[str, tuple[str, str]]] = {
    "starts": ("starts {at}", "empieza el {at}"),
    "ended": ("ended {at}", "terminó el {at}"),
    "other_currency": ("is for orders in {currencies}", "es para pedidos en {currencies}"),
    "other_country": ("is for deliveries to {countries}", "es para entregas en {countries}"),
    "needs_quantity": ("needs {quantity} units", "necesita {quantity} unidades"),
    "needs_more_than": ("needs more than {quantity} units", "necesita más de {quantity} unidades"),
    "over_quantity": ("holds up to {quantity} units", "vale hasta {quantity} unidades"),
    "needs_line_amount": ("needs a line of {amount} {currency}", "necesita una línea de {amount} {currency}"),
    "over_line_amount": ("holds for lines up to {amount} {currency}", "vale para líneas de hasta {amount} {currency}"),
    "needs_subtotal": ("needs an order of {amount} {currency}", "necesita un pedido de {amount} {currency}"),
    "over_subtotal": ("holds for orders up to {amount} {currency}", "vale para pedidos de hasta {amount} {currency}"),
    "no_unit_price": ("acts on unit prices only", "solo actúa sobre precios por unidad"),
    "beaten": ("beaten by {by}", "superada por {by}"),
    "less_specific": ("less specific than {by}", "menos específica que {by}"),
    "lower_priority": ("lower priority than {by}", "menor prioridad que {by}"),
    "higher_amount": ("dearer than {by}", "más cara que {by}"),
}

_REFUSALS: Final[dict[str, tuple[str, str]]] = {
    "unknown_sku": ("We do not sell {sku}.", "No vendemos {sku}."),
    "unknown_unit": ("{sku} is sold by {units}.", "{sku} se vende por {units}."),
    "quantity_malformed": (
        "Write the quantity as a number like 12 or 2.5.",
        "Escriba la cantidad como un número, por ejemplo 12 o 2.5.",
    ),
    "quantity_negative": ("The quantity cannot be negative.", "La cantidad no puede ser negativa."),
    "quantity_too_fine": (
        "Quantities in {unit} have {decimals} decimals at most.",
        "Las cantidades en {unit} tienen {decimals} decimales como máximo.",
    ),
    "quantity_too_large": ("Order at most {maximum} {unit}.", "Pida como máximo {maximum} {unit}."),
    "quantity_below_minimum": ("Order at least {minimum} {unit}.", "Pida al menos {minimum} {unit}."),
    "quantity_above_maximum": ("Order at most {maximum} {unit}.", "Pida como máximo {maximum} {unit}."),
    "quantity_not_multiple": ("Order a multiple of {multiple} {unit}.", "Pida un múltiplo de {multiple} {unit}."),
    "quantity_not_priced": (
        "{sku} has a price from {quantity} {unit} on.",
        "{sku} tiene precio a partir de {quantity} {unit}.",
    ),
    "not_priced_yet": ("{sku} has a price from {at} on.", "{sku} tiene precio a partir del {at}."),
    "no_longer_priced": ("{sku} has no price any more.", "{sku} ya no tiene precio."),
    "no_price_in_currency": ("{sku} has no price in {currency}.", "{sku} no tiene precio en {currency}."),
    "ambiguous_price": (
        "{sku} has two prices of equal right; please contact us.",
        "{sku} tiene dos precios con igual derecho; póngase en contacto con nosotros.",
    ),
    "bound_not_covered": (
        "{sku} cannot be priced at present; please contact us.",
        "No podemos dar precio a {sku} en este momento; póngase en contacto con nosotros.",
    ),
    "tax_needed": (
        "The price of {sku} includes tax; tell us where to deliver.",
        "El precio de {sku} incluye impuestos; indíquenos dónde entregar.",
    ),
    "tax_rate_unknown": (
        "No tax rate is known for {sku} where you want it delivered.",
        "No se conoce el tipo impositivo de {sku} en el lugar de entrega.",
    ),
    "amount_too_large": ("This amount is too large to order online.", "Este importe es demasiado grande."),
}

_NEXT_BREAK: Final = ("{more} more: {unit_price} per {unit}", "{more} más: {unit_price} por {unit}")
_CLIFF: Final = ("{quantity} cost less than {asked}: {subtotal}", "{quantity} cuestan menos que {asked}: {subtotal}")


def step_text(step: Step, language: str) -> str:
    """What a step did, as one short line without its amounts: "Seats: 5 % off"."""
    reason = step.reason
    if reason in {"ceiling", "floor"}:
        if step.phase.startswith("round"):
            reason += "_mode"
        elif step.rule is not None:
            reason += "_named"
    template = _STEPS[reason][_column(language)]
    if step.reason == "times_quantity" and "fee" in step.params:
        template += _FEE[_column(language)]
    return template.format(rule=step.rule or "", title=_title(step, language), **step.params)


def loser_text(loser: Loser, language: str) -> str:
    """Why a rule did not act: "Big orders: needs 20 units"."""
    return f"{_title(loser, language)}: {_LOSERS[loser.reason][_column(language)].format(**loser.params)}"


def refusal_text(line: RefusedLine, language: str) -> str:
    """Why a line has no price, and what to do."""
    return _REFUSALS[line.reason][_column(language)].format(**{"sku": line.sku, **line.params})


def next_break_text(next_break: NextBreak, language: str) -> str:
    return _NEXT_BREAK[_column(language)].format(
        more=next_break.more, unit_price=next_break.unit_price, unit=next_break.unit
    )


def cliff_text(cliff: Cliff, asked: str, language: str) -> str:
    """*asked*: the quantity of the line it stands in."""
    return _CLIFF[_column(language)].format(quantity=cliff.quantity, asked=asked, subtotal=cliff.subtotal)


def explain(line: PricedLine | RefusedLine, language: str = "en") -> tuple[str, ...]:
    """A line of an answer as lines of text: its steps with their amounts, then losers, next break
    and cliff; or why it has no price.

    :raises ValueError: for a language without texts
    """
    if isinstance(line, RefusedLine):
        return (refusal_text(line, language),)
    trace = line.trace
    said = [f"{step_text(step, language)} = {step.after}" for step in trace.steps]
    said.extend(loser_text(loser, language) for loser in trace.losers)
    if trace.next_break is not None:
        said.append(next_break_text(trace.next_break, language))
    if trace.cliff is not None:
        said.append(cliff_text(trace.cliff, line.quantity, language))
    return tuple(said)


def _column(language: str) -> int:
    if language not in LANGUAGES:
        raise ValueError(f"there are no texts in {language}")
    return LANGUAGES.index(language)


def _title(of: Step | Loser, language: str) -> str:
    if of.titles is None:
        return of.rule or ""
    return of.titles.en if language == "en" else of.titles.es
