"""Phase 12: tax from given rates, on the unit, the line or the order."""

from collections.abc import Sequence

import msgspec

from kernel.money import Mode, divide, largest_remainder
from pricing.engine.book import TaxLevel
from pricing.engine.line import Context, Line
from pricing.engine.request import Treatment
from pricing.engine.rules import Ratio

# reading a member from its class costs as much as a call
_STANDARD, _ORDER, _UNIT = Treatment.STANDARD, TaxLevel.ORDER, TaxLevel.UNIT


class Taxed(msgspec.Struct, frozen=True, gc=False):
    """Of one line, in units of 10^-*decimals*; *tax* None when none was asked."""

    net: int
    tax: int | None
    total: int
    decimals: int


class Totals(msgspec.Struct, frozen=True, gc=False):
    """In minor units."""

    subtotal: int
    net: int
    tax: int | None
    total: int


def tax_lines(lines: Sequence[Line], context: Context) -> list[Taxed]:
    """Tax each of *lines*. Tax on the order is rounded once per rate and spread over the lines that have it."""
    decimals = context.view.tax_places
    level = context.policy.tax_level
    if context.treatment is None:
        return [Taxed(line.order_units, None, line.order_units, context.line_places) for line in lines]
    if level is _ORDER:
        taxes = _by_order(lines, context, decimals)
    elif level is _UNIT:
        taxes = [_of_units(line, context, decimals) for line in lines]
    else:
        taxes = [_of((line.order_units, context.line_scale), line, context, decimals) for line in lines]
    return [_taxed(line, context, tax, decimals) for line, tax in zip(lines, taxes, strict=True)]


def totals(lines: Sequence[Line], taxed: Sequence[Taxed], context: Context) -> Totals:
    """What the order costs: amounts are added up exactly and rounded to minor units before tax is."""
    minor = 10**context.view.exponent
    scale, mode, tax_mode = context.line_scale, context.line_mode, context.policy.tax.mode
    units = net_units = gross_units = 0
    for line in lines:
        units += line.amount_units
        if line.price_list.tax_included:
            gross_units += line.order_units
        else:
            net_units += line.order_units
    subtotal, net = _minor(units, scale, minor, mode), _minor(net_units, scale, minor, mode)
    if context.treatment is None:
        return Totals(subtotal, net, None, net)
    gross = _minor(gross_units, scale, minor, mode)
    finest = max(context.view.tax_places, context.line_places)
    added = included = 0
    for line, of_line in zip(lines, taxed, strict=True):
        if line.price_list.tax_included:
            # what came out of the gross amount, whether it is owed (standard) or not (reverse charge, exemption)
            included += line.order_units * 10 ** (finest - context.line_places) - of_line.net
        else:
            added += of_line.total - of_line.net
    added_minor = _minor(added, 10**finest, minor, tax_mode)
    included_minor = _minor(included, 10**finest, minor, tax_mode)
    net += gross - included_minor
    tax = added_minor + (included_minor if context.treatment is _STANDARD else 0)
    return Totals(subtotal, net, tax, net + tax)


def _taxed(line: Line, context: Context, tax: int, decimals: int) -> Taxed:
    """*tax* is what is in or on the line's amount, in units of 10^-*decimals*."""
    finest = max(decimals, context.line_places)
    amount = line.order_units * 10 ** (finest - context.line_places)
    if finest != decimals:
        tax *= 10 ** (finest - decimals)
    net = amount - tax if line.price_list.tax_included else amount
    owed = tax if context.treatment is _STANDARD else 0
    return Taxed(net, owed, net + owed, finest)


def _of(amount: Ratio, line: Line, context: Context, decimals: int) -> int:
    """The tax in *amount* (of a list that includes it) or on it."""
    rate, whole = line.rate
    if line.price_list.tax_included:
        whole += rate
    return divide(amount[0] * rate * 10**decimals, amount[1] * whole, context.policy.tax.mode)


def _of_units(line: Line, context: Context, decimals: int) -> int:
    """The tax of one unit, rounded, times the quantity, rounded."""
    number, denominator = line.row_quantity
    if not number:
        return 0
    unit = _of((line.order_units * denominator, context.line_scale * number), line, context, decimals)
    return divide(unit * number, denominator, context.policy.tax.mode)


def _by_order(lines: Sequence[Line], context: Context, decimals: int) -> list[int]:
    taxes = [0] * len(lines)
    alike: dict[tuple[Ratio, bool], list[int]] = {}
    for position, line in enumerate(lines):
        alike.setdefault((line.rate, line.price_list.tax_included), []).append(position)
    for positions in alike.values():
        positions.sort(key=lambda position: (lines[position].sku, lines[position].unit or ""))
        amounts = [lines[position].order_units for position in positions]
        tax = _of((sum(amounts), context.line_scale), lines[positions[0]], context, decimals)
        for position, share in zip(positions, largest_remainder(tax, amounts), strict=True):
            taxes[position] = share
    return taxes


def _minor(units: int, scale: int, minor: int, mode: Mode) -> int:
    return units if scale == minor else divide(units * minor, scale, mode)
