"""Check an answer of the engine against what was shown of its book, without the engine and without a network.

    python -m pricing.engine.replay ANSWER.json LEAVES.json

A second reading of docs/pricing.md that shares nothing with the evaluator but `kernel.money`: it works out every step
of every line, the order's discounts, the tax and the totals from the shown leaves, and compares texts. It proves that
the answer follows from what was shown, and that what was shown belongs to the root the answer names. It cannot prove
that nothing better was left out: the house does that, with the whole book.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from hashlib import sha256
from typing import Any, NamedTuple

from kernel import merkle
from kernel.canonical import NotCanonical, canonical_json, digest, strict_json
from kernel.money import Mode, UnknownCurrency, divide, exponent, fixed, largest_remainder, ratio_text

Json = dict[str, Any]

LEVELS = ("unit", "line", "order")
# a line refused for these was never counted towards its break group
_NEVER_COUNTED = frozenset(
    {
        "unknown_sku", "unknown_unit", "quantity_malformed", "quantity_negative", "quantity_too_fine",
        "quantity_too_large", "quantity_below_minimum", "quantity_above_maximum", "quantity_not_multiple",
    }
)  # fmt: skip
_MOST_LOSERS = 20
_MALFORMED = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,
    StopIteration,
    NotCanonical,
    UnknownCurrency,
)
_LINE_PHASES = frozenset({"price", "unit", "line"})
_DIGITS = frozenset("0123456789.-/")
_LEFT_OUT = (
    "that nothing better was left out, nor a list that lost, nor a hint "
    "(the house's own replay on the whole book shows it)"
)
_TREATMENTS = (None, "standard", "reverse_charge", "exempt")


class Checked(NamedTuple):
    """Sentences: what was worked out again and agrees, what could not be, what does not follow, and the question as the
    answer tells it, which only who asked can confirm.
    """

    checked: tuple[str, ...]
    unchecked: tuple[str, ...]
    findings: tuple[str, ...]
    asked: tuple[str, ...]


def replay(answer: bytes, leaves: bytes) -> Checked:
    """Check *answer* (a quote as JSON) against *leaves* (what `disclosed` wrote for it)."""
    run = _Replay()
    try:
        run.documents(strict_json(answer), strict_json(leaves))
    except _MALFORMED as error:
        run.findings.append(f"The documents are not of the expected form: {type(error).__name__} {error}")
    return Checked(
        tuple(run.checked), tuple(dict.fromkeys(run.unchecked)), tuple(run.findings), tuple(dict.fromkeys(run.asked))
    )


class _State(NamedTuple):
    """A priced line, its quantities, and what the book says of its SKU."""

    where: str
    line: Json
    facts: Json
    base: Fraction
    counted: Fraction
    quantity: Fraction  # of the row's unit
    factor: Fraction  # base units in the row's unit
    rate: Fraction
    fee: Fraction
    per_unit: bool


class _Replay:
    def __init__(self) -> None:
        self.checked: list[str] = []
        self.unchecked: list[str] = [_LEFT_OUT]
        self.findings: list[str] = []
        self.asked: list[str] = []
        self.shown: dict[str, dict[tuple[str, ...], Json]] = {}
        self.subtotal = Fraction()

    def same(self, what: str, found: object, expected: object) -> None:
        if found != expected:
            self.findings.append(f"{what}: {found!r} is written, {expected!r} follows.")

    def once(self, what: str, losers: Sequence[Json]) -> None:
        names = [(loser["phase"], loser["rule"]) for loser in losers]
        self.same(what, [name for name in names if names.count(name) > 1], [])

    def documents(self, answer: Json, leaves: Json) -> None:
        self.same("The answer these leaves were shown for", leaves["answer"], digest(answer))
        self.answer, self.at, self.currency = answer, datetime.fromisoformat(answer["at"]), answer["currency"]
        self._leaves(leaves)
        self.policy, self.layers = self.leaf("policy"), self.leaf("layers")
        self.same("The rounding policy", answer["policy"], self.policy)
        self.minor = exponent(self.currency)
        self.places = {name: self._places(name) for name in ("unit", "line", "tax")}
        lines = answer["lines"]
        self.same(
            "The numbers of the lines asked for",
            sorted(number for line in lines for number in line["requested"]),
            list(range(sum(len(line["requested"]) for line in lines))),
        )
        self.same("Lines that nobody asked for", [line["sku"] for line in lines if not line["requested"]], [])
        self._question(lines)
        self.priced = [line for line in lines if line["outcome"] == "priced"]
        for line in lines:
            if line["outcome"] != "priced":
                self._refused(line)
        self._groups(lines)
        self._lines()
        self._valid_until("The answer", answer, [line["valid_until"] for line in lines])

    def _question(self, lines: Sequence[Json]) -> None:
        """What the answer says was asked: it follows from nothing."""
        buyer, treatment = self.answer["buyer"], self.answer["tax_treatment"]
        segments = ", ".join(buyer["segments"]) or "none"
        self.same("The tax treatment", treatment, treatment if treatment in _TREATMENTS else _TREATMENTS)
        self.asked.append(
            f"at {self.answer['at']} in {self.currency}, for company {buyer['company']} (segments: {segments}) "
            f"in country {buyer['country']}, tax treatment {treatment}"
        )
        for line in lines:
            rate = f", tax {line['tax_percent']} %" if line["outcome"] == "priced" else ""
            self.asked.append(f"{line['quantity']} {line['unit']} {line['sku']}{rate}")

    def _refused(self, line: Json) -> None:
        where = f"{line['quantity']} {line['unit']} {line['sku']}"
        self.same(f"{where}, the outcome", line["outcome"], "refused")
        params = ", ".join(f"{name} {value}" for name, value in line["params"].items())
        self.unchecked.append(
            f"{where}: that it was refused ({line['reason']}{params and f': {params}'}), until {line['valid_until']}"
        )

    def leaf(self, kind: str, *key: str) -> Any:
        try:
            return self.shown[kind][key]
        except KeyError:
            raise LookupError(f"no leaf of kind {kind} {' / '.join(key)} was shown") from None

    def _leaves(self, leaves: Json) -> None:
        shown: list[bytes] = []
        for leaf in leaves["shown"]:
            shown.append(sha256(canonical_json(leaf)).digest())
            of_kind, key = self.shown.setdefault(leaf["kind"], {}), tuple(leaf["key"])
            self.same(f"A second {leaf['kind']} {' / '.join(key)}", key in of_kind, False)
            of_kind[key] = leaf["content"]
        if "nodes" in leaves:
            size, nodes = leaves["size"], [bytes.fromhex(node) for node in leaves["nodes"]]
            entries = dict(zip(leaves["places"], shown, strict=True))
            self.same("The leaves that share a place", len(shown) - len(entries), 0)
            raw = merkle.pruned_root(size, entries, nodes)
        else:
            digests = [*map(bytes.fromhex, leaves["digests"]), *shown]
            size, raw = len(digests), merkle.root(sorted(digests))
        root = "sha256:" + raw.hex()
        self.same("The root of the leaves", leaves["root"], root)
        self.same("The root of the answer", self.answer["root"], root)
        self.checked.append(f"{len(leaves['shown'])} shown leaves of {size} lead to the root {root}")

    def _places(self, name: str) -> int:
        decimals = self.policy[name]["decimals"]
        return int(self.minor if decimals is None else decimals)

    def _groups(self, lines: Sequence[Json]) -> None:
        """What the lines of each break group come to in base units."""
        self.groups: dict[str, Fraction] = {}
        for line in lines:
            if line["outcome"] == "priced" or line["reason"] not in _NEVER_COUNTED:
                facts = self.leaf("sku", line["sku"])
                group = facts["break_group"]
                if group is not None:
                    base = _number(line["quantity"]) * _factor(facts, line["unit"])
                    self.groups[group] = self.groups.get(group, Fraction()) + base

    def _lines(self) -> None:
        states = [self._state(line) for line in self.priced]
        tracks = [_Track(self, state) for state in states]
        extended = [track.to_extended() for track in tracks]
        self.subtotal = sum(
            (_net(amount, state) for amount, state in zip(extended, states, strict=True)), start=Fraction()
        )
        for track in tracks:
            track.to_rounded()
        _Order(self, states, tracks).check()
        for track in tracks:
            track.end()
        _tax(self, states)
        for state in states:
            self.checked.append(f"{state.where}: {len(state.line['trace']['steps'])} steps, tax and amounts")

    def _state(self, line: Json) -> _State:
        trace, facts = line["trace"], self.leaf("sku", line["sku"])
        where = f"{line['sku']} per {line['unit']}"
        base = _number(line["quantity"]) * _factor(facts, line["unit"])
        counted = base if facts["break_group"] is None else self.groups[facts["break_group"]]
        factor = _factor(facts, trace["row_unit"])
        row, noun = self.row(trace["list"], line["sku"], trace["row_unit"]), self.leaf("list", trace["list"])
        by_quantity = row["model"] in {"flat", "volume"}
        self.same(f"{where}, the row's unit", trace["row_unit"] in {line["unit"], facts["units"][0]["unit"]}, True)
        self.same(f"{where}, the row's quantity", trace["row_quantity"], _text(base / factor))
        self.same(
            f"{where}, the tier's quantity",
            trace["tier_quantity"],
            _text(counted / factor if by_quantity else base / factor),
        )
        self.same(f"{where}, the list", self.valid(noun), True)
        self.same(f"{where}, tax included", line["tax_included"], noun["tax_included"])
        self.same(f"{where}, the tax category", line["tax_category"], facts["tax_category"])
        self.same(f"{where}, the price's unit", line["price_unit"], trace["row_unit"])
        _, _, fee = self.price(row, counted / factor, base / factor)
        rate = _number(line["tax_percent"] or "0") / 100
        return _State(where, line, facts, base, counted, base / factor, factor, rate, fee, by_quantity)

    # --- What the leaves say ---

    def admits(self, audience: Json) -> bool:
        buyer = self.answer["buyer"]
        return (
            audience["company"] in {None, buyer["company"]}
            and (not audience["segments"] or bool(set(audience["segments"]) & set(buyer["segments"])))
            and (not audience["countries"] or buyer["country"] in audience["countries"])
        )

    def valid(self, noun: Json) -> bool:
        return all(edge <= self.at for edge in _instants(noun, "starts_at")) and all(
            self.at < edge for edge in _instants(noun, "ends_at")
        )

    def rows(self, sku: str, units: Iterable[str]) -> Iterator[tuple[Json, Json]]:
        """Shown rows of the SKU, in lists open to the buyer whenever, with their lists."""
        wanted = set(units)
        for row in self.shown.get("row", {}).values():
            noun = self.leaf("list", row["list"])
            open_to = noun["currency"] == self.currency and self.admits(noun["audience"])
            if row["sku"] == sku and row["unit"] in wanted and open_to:
                yield row, noun

    def row(self, code: str, sku: str, unit: str) -> Json:
        for row, noun in self.rows(sku, {unit}):
            if noun["code"] == code and self.valid(row):
                return row
        raise LookupError(f"no row of list {code} for {sku} per {unit} was shown that is valid then")

    def price(self, row: Json, counted: Fraction, quantity: Fraction) -> tuple[Fraction | None, Fraction, Fraction]:
        """Unit price (None where the row has none), amount and fee by the tiers."""
        tiers = row["tiers"]
        if row["model"] in {"flat", "volume"}:
            tier = _tier(tiers, counted)
            unit = _number(tier["unit_price"])
            return unit, unit * quantity, _number(tier["flat_fee"]) if quantity else Fraction()
        if row["model"] == "graduated":
            return None, *_graduated(tiers, quantity)
        package = row["package"]
        rest = max(Fraction(), quantity - _number(package["free"])) / _number(package["size"])
        count = Fraction(-(-rest // 1) if package["round_up"] else rest // 1)
        if not package["whole_quantity"] or not count:
            return None, *_graduated(tiers, count)
        tier = _tier(tiers, count)
        return None, count * _number(tier["unit_price"]), _number(tier["flat_fee"])

    def rules(self, facts: Json, level: str) -> list[Json]:
        """Shown adjustments of the level that speak of the SKU and this buyer."""
        layers = {layer["code"] for layer in self.layers if layer["level"] == level}
        return [
            rule
            for rule in self.shown.get("adjustment", {}).values()
            if rule["layer"] in layers and _in_scope(rule["scope"], facts) and self.admits(rule["audience"])
        ]

    def obstacle(self, rule: Json, state: _State | None, net: Fraction) -> tuple[str, Json] | None:
        """Why the rule does not act, as a loser says it; None when it does. *net*: the line's, before line rules."""
        if any(self.at < edge for edge in _instants(rule, "starts_at")):
            return "starts", {"at": rule["starts_at"]}
        if any(edge <= self.at for edge in _instants(rule, "ends_at")):
            return "ended", {"at": rule["ends_at"]}
        said = rule["conditions"]
        for reason, field, own in (
            ("other_currency", "currencies", self.currency),
            ("other_country", "countries", self.answer["buyer"]["country"]),
        ):
            if said[field] and own not in said[field]:
                return reason, {field: ", ".join(said[field])}
        quantities: list[tuple[str, Fraction, Json]] = [("quantity", state.counted, {})] if state is not None else []
        money: Json = {"currency": self.currency}
        amounts = [("line_amount", net, money), ("subtotal", self.subtotal, money)]
        for name, value, more in [*quantities, *amounts]:
            least, most = said[f"min_{name}"], said[f"max_{name}"]
            shown = "quantity" if name == "quantity" else "amount"
            if least is not None and value < _number(least):
                return f"needs_{name}", {shown: least, **more}
            if most is not None and value > _number(most):
                return f"over_{name}", {shown: most, **more}
        return None if state is None else _short_of(rule["effect"], state)

    def layer_of(self, rule: Json) -> tuple[int, int, Json]:
        """Positions of layer and group, and the layer."""
        for position, layer in enumerate(self.layers):
            if layer["code"] == rule["layer"]:
                return position, [group["code"] for group in layer["groups"]].index(rule["group"]), layer
        raise LookupError(f"rule {rule['code']} names a layer that is not there")

    def bounds(self, state: _State, side: str) -> list[Fraction]:
        """The shown bounds on one unit of the row, in the terms of its list."""
        gross = 1 + state.rate if state.line["tax_included"] else Fraction(1)
        return [
            _number(price["price"]) * state.factor * gross
            for bound in self.shown.get("bound", {}).values()
            if bound["side"] == side and bound["limit"]["type"] == "price" and _in_scope(bound["scope"], state.facts)
            for price in bound["limit"]["prices"]
            if price["currency"] == self.currency
        ]

    def _valid_until(self, what: str, said: Json, edges: Iterable[str | None]) -> None:
        self.same(f"{what} is valid until", said["valid_until"], _earliest(edges))

    def edges(self, state: _State) -> str | None:
        """The first instant at which something shown of the line begins or ends."""
        units = {state.line["unit"], state.facts["units"][0]["unit"]}
        nouns = [noun for pair in self.rows(state.line["sku"], units) for noun in pair]
        levels = [level for level in LEVELS if self._runs(level, state)]
        nouns += [rule for level in levels for rule in self.rules(state.facts, level)]
        ahead = [noun[edge] for noun in nouns for edge in ("starts_at", "ends_at") if noun[edge] is not None]
        return _earliest(edge for edge in ahead if datetime.fromisoformat(edge) > self.at)

    def _runs(self, level: str, state: _State) -> bool:
        if level == "order":
            return len(self.priced) == len(self.answer["lines"])
        return level == "unit" or state.base > 0


class _Track:
    """The steps of one line, worked out again one after the other."""

    def __init__(self, run: _Replay, state: _State) -> None:
        self.run, self.state = run, state
        self.steps: list[Json] = state.line["trace"]["steps"]
        self.number = 0
        self.running = Fraction()
        self.acted: list[tuple[str, str]] = []  # level and code
        self.net = Fraction()

    def to_extended(self) -> Fraction:
        run, state, line = self.run, self.state, self.state.line
        noun = run.leaf("list", line["trace"]["list"])
        row = run.row(line["trace"]["list"], line["sku"], line["trace"]["row_unit"])
        unit, amount, fee = run.price(row, state.counted / state.factor, state.quantity)
        entry = amount if unit is None else unit
        self._step("price", "list_amount" if unit is None else "list_price", entry, noun, {}, first=True)
        run.same(f"{state.where}, list price", line["list_price"], None if unit is None else _price_text(unit, run))
        self._rules("unit")
        if unit is not None:
            self._bound("bound", run.places["unit"] if run.policy["round_unit"] else None, Fraction(1), Fraction())
            if run.policy["round_unit"]:
                self._round("round_unit", "unit")
            run.same(f"{state.where}, unit price", line["unit_price"], _price_text(self.running, run))
            params = {"quantity": _text(state.quantity), **({"fee": _text(fee)} if fee else {})}
            self._step("extend", "times_quantity", self.running * state.quantity + fee, None, params)
        else:
            run.same(f"{state.where}, unit price", line["unit_price"], None)
            if fee:
                self._step("extend", "plus_fee", self.running + fee, None, {"fee": _text(fee)})
        self.net = _net(self.running, state)
        self._losers("unit")
        return self.running

    def to_rounded(self) -> None:
        if self.state.base:
            self._rules("line")
            self._losers("line")
        self._bound("line_bound", self.run.places["line"], self.state.quantity, self.state.fee)
        self._round("round_line", "line")
        subtotal = _fixed(self.running, self.run.places["line"])
        self.run.same(f"{self.state.where}, subtotal", self.state.line["subtotal"], subtotal)

    def order_step(self, rule: Json, amount: Fraction, params: Json) -> None:
        self._step("order", _reason(rule["effect"]), amount, rule, params)

    def next_order_amount(self, rule: Json) -> Fraction:
        """What the line's next step says it costs after *rule*, if it is one of that rule."""
        step = self._peek()
        ours = step is not None and step["phase"] == "order" and step["rule"] == rule["code"]
        return _number(step["after"]) if ours and step is not None else self.running

    def end(self) -> None:
        run, state, line = self.run, self.state, self.state.line
        trace = line["trace"]
        run.same(f"{state.where}, steps beyond the last", self.steps[self.number :], [])
        run.once(f"{state.where}, rules that lost twice", trace["losers"])
        run.same(
            f"{state.where}, where its losers lost", {loser["phase"] for loser in trace["losers"]} <= _LINE_PHASES, True
        )
        adjusted = _fixed(self.running - _number(line["subtotal"]), run.places["line"])
        run.same(f"{state.where}, order adjustment", line["order_adjustment"], adjusted)
        run.same(f"{state.where}, valid until", line["valid_until"], run.edges(state))
        if len(trace["losers"]) == _MOST_LOSERS:
            run.unchecked.append(f"{state.where}: that {trace['losers_left_out']} more did not act")
        else:
            run.same(f"{state.where}, losers left out", trace["losers_left_out"], 0)
        self._list_losers()
        self._next_break(trace["next_break"])
        if trace["cliff"] is not None:
            cliff = trace["cliff"]
            run.unchecked.append(f"{state.where}: the hint that {cliff['quantity']} cost less ({cliff['subtotal']})")

    def _peek(self) -> Json | None:
        return self.steps[self.number] if self.number < len(self.steps) else None

    def _step(
        self, phase: str, reason: str, after: Fraction, noun: Json | None, params: Json, *, first: bool = False
    ) -> None:
        """The next step is this one and nothing else; the running amount becomes *after*."""
        expected = {
            "phase": phase,
            "reason": reason,
            "rule": None if noun is None else noun["code"],
            "titles": None if noun is None else noun.get("titles"),
            "before": None if first else _text(self.running),
            "after": _text(after),
            "params": params,
        }
        self.run.same(f"{self.state.where}, step {self.number + 1}", self._peek(), expected)
        self.number += 1
        self.running = after

    def _rules(self, level: str) -> None:
        """The steps of the level's rules: each admitted, in the order of layers and groups, one of a group."""
        last = (-1, -1)
        layer_entry = self.running
        while (step := self._peek()) is not None and step["phase"] == level:
            rule = self.run.leaf("adjustment", step["rule"])
            position, group, layer = self.run.layer_of(rule)
            what = f"{self.state.where}, rule {rule['code']}"
            self.run.same(f"{what}, in scope", rule in self.run.rules(self.state.facts, level), True)
            self.run.same(f"{what}, obstacle", self.run.obstacle(rule, self.state, self.net), None)
            self.run.same(f"{what}, in the order of layers and groups", last < (position, group), True)
            if position != last[0]:
                layer_entry = self.running
            base = layer_entry if layer["combine"] == "sum" else self.running
            after = self.running + self._effect(rule["effect"], level, base) - base
            self._step(level, _reason(rule["effect"]), after, rule, _params(rule["effect"]))
            self.acted.append((level, rule["code"]))
            # an exclusive rule stands alone in its layer
            last = (position, len(layer["groups"]) if rule["exclusive"] else group)

    def _effect(self, effect: Json, level: str, base: Fraction) -> Fraction:
        state, kind = self.state, effect["type"]
        if kind == "percent":
            return base * (1 + _signed(effect, "percent") / 100)
        if kind == "amount":
            return base + _signed(effect, "amount") * (state.factor if level == "unit" else 1)
        if kind == "fixed_price":
            return _number(effect["price"]) * state.factor
        if kind == "quantity_table":
            reached = [step["percent"] for step in effect["steps"] if _number(step["from"]) <= state.counted]
            return base * (1 - _number(reached[-1]) / 100)
        buy, get = _number(effect["buy"]), _number(effect["get"])
        sets = state.base // (buy + get)
        return base - (base - state.fee) * sets * get / state.base

    def _bound(self, phase: str, places: int | None, quantity: Fraction, fee: Fraction) -> None:
        """A step by a bound that was shown follows from it; by one that was not, it is a house bound; without a step
        the shown bounds hold.
        """
        floors = [bound * quantity + fee for bound in self.run.bounds(self.state, "floor")]
        ceilings = [bound * quantity + fee for bound in self.run.bounds(self.state, "ceiling")]
        if places is not None:
            floors = [Fraction(_round(bound, places, "ceiling"), 10**places) for bound in floors]
            ceilings = [Fraction(_round(bound, places, "floor"), 10**places) for bound in ceilings]
        floor = max([Fraction(), *floors])
        step = self._peek()
        shown = None if step is None else self.run.shown.get("bound", {}).get((step["rule"],))
        if step is None or step["phase"] != phase:
            within = floor <= self.running <= max([floor, min(ceilings, default=self.running)])
            self.run.same(f"{self.state.where}, within the shown bounds", within, True)
        elif step["reason"] == "never_below_zero":
            self.run.same(f"{self.state.where}, below zero", self.running < 0, True)
            self._step(phase, "never_below_zero", Fraction(), None, {})
        elif shown is not None and shown["limit"]["type"] == "price":
            is_floor = step["reason"] == "floor"
            after = floor if is_floor else max(floor, min(ceilings))
            self._named(phase, step, after)
        else:
            name = "" if step["rule"] is None else f" ({step['rule']})"
            self.run.unchecked.append(
                f"{self.state.where}: a step by a house bound{name}, {step['before']} to {step['after']}"
            )
            moved = _number(step["after"]) - self.running
            self.run.same(f"{self.state.where}, the house bound's direction", step["reason"] == "floor", moved > 0)
            self._named(phase, step, _number(step["after"]))

    def _named(self, phase: str, step: Json, after: Fraction) -> None:
        reason = "floor" if after > self.running else "ceiling" if after < self.running else "no step"
        self._step(phase, reason, after, {"code": step["rule"]}, {})

    def _round(self, phase: str, name: str) -> None:
        places, mode = self.run.places[name], self.run.policy[name]["mode"]
        rounded = Fraction(_round(self.running, places, mode), 10**places)
        if rounded != self.running:
            self._step(phase, mode, rounded, None, {"decimals": str(places)})

    def _losers(self, level: str) -> None:
        """Every shown rule of the level acted or says why not, and the reason holds."""
        run, trace = self.run, self.state.line["trace"]
        losers = {loser["rule"]: loser for loser in trace["losers"] if loser["phase"] == level}
        acted = [code for phase, code in self.acted if phase == level]
        beaten = [code for code, loser in losers.items() if loser["reason"] == "beaten"]
        for rule in run.rules(self.state.facts, level):
            loser = losers.pop(rule["code"], None)
            if loser is None:
                known = rule["code"] in acted or bool(trace["losers_left_out"])
                run.same(f"{self.state.where}, rule {rule['code']} is accounted for", known, True)
                continue
            expected = run.obstacle(rule, self.state, self.net)
            if expected is None and level == "unit" and not self.state.per_unit:
                expected = ("no_unit_price", {}) if rule["effect"]["type"] in {"amount", "fixed_price"} else None
            if expected is None:
                # the winner of a group may itself have lost to an exclusive rule
                others = [code for code in (*acted, *beaten) if code != rule["code"]]
                by = [code for code in others if run.leaf("adjustment", code)["layer"] == rule["layer"]]
                named = loser["params"].get("by")
                expected = "beaten", {"by": named if named in by else by}
            run.same(f"{self.state.where}, why {rule['code']} did not act", loser, _loser(level, rule, *expected))
        run.same(f"{self.state.where}, losing rules that were not shown", list(losers), [])

    def _list_losers(self) -> None:
        run, state, trace = self.run, self.state, self.state.line["trace"]
        units = {state.line["unit"], state.facts["units"][0]["unit"]}
        for loser in trace["losers"]:
            if loser["phase"] != "price":
                continue
            noun = run.leaf("list", loser["rule"])
            possible = [
                _loser("price", noun, reason, params)
                for row, owner in run.rows(state.line["sku"], units)
                if owner is noun
                for reason, params in self._list_reasons(row, noun)
            ]
            found = loser if loser in possible else possible
            run.same(f"{state.where}, why {noun['code']} did not act", loser, found)

    def _list_reasons(self, row: Json, noun: Json) -> Iterator[tuple[str, Json]]:
        """What may be said of a list that did not price the line."""
        by = {"by": self.state.line["trace"]["list"]}
        winner = self.run.leaf("list", by["by"])
        equal = _specificity(noun) == _specificity(winner)
        yield from ((("lower_priority" if equal else "less_specific"), by), ("higher_amount", by))
        for dated in (noun, row):
            yield from (
                ("starts", {"at": dated["starts_at"]}) for edge in _instants(dated, "starts_at") if edge > self.run.at
            )
            yield from (
                ("ended", {"at": dated["ends_at"]}) for edge in _instants(dated, "ends_at") if edge <= self.run.at
            )
        first, unit = row["tiers"][0], row["unit"]
        if first["from"] is None:
            yield "needs_more_than", {"quantity": first["above"], "unit": unit}
        else:
            yield "needs_quantity", {"quantity": first["from"], "unit": unit}

    def _next_break(self, said: Json | None) -> None:
        """A break that is named begins where it says, and costs that much."""
        if said is None:
            return
        run, state, line = self.run, self.state, self.state.line
        more = _number(said["quantity"]) - _number(line["quantity"])
        run.same(f"{state.where}, the next break", said["quantity"], _text(_number(said["quantity"])))
        run.same(f"{state.where}, units to the next break", said["more"], _text(more))
        run.same(f"{state.where}, unit of the next break", said["unit"], line["trace"]["row_unit"])
        reached = (state.counted + more * _factor(state.facts, line["unit"])) / state.factor
        prices = [
            _price_text(_number(tier["unit_price"]), run)
            for row, noun in run.rows(line["sku"], {said["unit"]})
            if noun["mergeable"] or noun["code"] == line["trace"]["list"]
            for tier in row["tiers"]
            if _has_reached(tier, reached) and not _has_reached(tier, state.counted / state.factor)
        ]
        run.same(f"{state.where}, price of the next break", said["unit_price"] in prices, True)


class _Order:
    """Order rules, spread over the lines again."""

    def __init__(self, run: _Replay, states: Sequence[_State], tracks: Sequence[_Track]) -> None:
        self.whole = run
        pairs = sorted(zip(states, tracks, strict=True), key=lambda pair: (pair[0].line["sku"], pair[0].line["unit"]))
        self.states, self.tracks = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        self.scale = 10 ** run.places["line"]

    def check(self) -> None:
        steps, layer, base = self.whole.answer["order_steps"], "", self._units()
        last = (-1, -1)
        for step in steps:
            rule = self.whole.leaf("adjustment", step["rule"])
            position = self.whole.layer_of(rule)[:2]
            self.whole.same(f"Rule {step['rule']} in the order of layers and groups", last < position, True)
            last = position
            if rule["layer"] != layer:
                layer, entry = rule["layer"], self._units()
            summed = self.whole.layer_of(rule)[2]["combine"] == "sum"
            base = entry if summed else self._units()
            self._rule(step, rule, base)
        self._losers([step["rule"] for step in steps])

    def _losers(self, acted: Sequence[str]) -> None:
        """Every shown order rule acted or says why not, and the reason holds."""
        run, said = self.whole, self.whole.answer["order_losers"]
        losers = {loser["rule"]: loser for loser in said}
        run.once("Rules that lost twice on the order", said)
        beaten = [loser["rule"] for loser in said if loser["reason"] == "beaten"]
        rules = {rule["code"]: rule for state in self.states for rule in run.rules(state.facts, "order")}
        if len(run.priced) < len(run.answer["lines"]):
            rules = {}  # with a refused line no order rule runs
        for code, rule in rules.items():
            reason = run.obstacle(rule, None, Fraction())
            run.same(f"Rule {code} acts where nothing stands against it", code in acted and reason is not None, False)
            loser = losers.pop(code, None)
            if loser is None:
                run.same(f"Rule {code} on the order is accounted for", code in acted or len(said) == _MOST_LOSERS, True)
                continue
            if reason is None:
                rivals = [one for one in (*acted, *beaten) if one != code and rules[one]["layer"] == rule["layer"]]
                named = loser["params"].get("by")
                reason = "beaten", {"by": named if named in rivals else rivals}
            run.same(f"Why rule {code} did not act on the order", loser, _loser("order", rule, *reason))
        run.same("Losing rules on the order that were not shown", list(losers), [])

    def _units(self) -> list[int]:
        return [int(track.running * self.scale) for track in self.tracks]

    def _rule(self, step: Json, rule: Json, base: Sequence[int]) -> None:
        run = self.whole
        members = [number for number, state in enumerate(self.states) if rule in run.rules(state.facts, "order")]
        change = self._change(rule["effect"], sum(base[number] for number in members))
        before = self._units()
        after = [int(track.next_order_amount(rule) * self.scale) for track in self.tracks]
        spread = self._spread(change, members, before)
        moved = sum(after) - sum(before)
        if after != spread:
            outside = [
                number for number in range(len(before)) if number not in members and before[number] != after[number]
            ]
            run.same(f"Rule {rule['code']}, lines outside its scope", outside, [])
            run.same(f"Rule {rule['code']}, not more than it says", abs(moved) <= abs(change), True)
            run.unchecked.append(
                f"Rule {rule['code']}: its spread over the lines, which a house bound may have stopped"
            )
        params = _params(rule["effect"])
        for track, one, other in zip(self.tracks, before, after, strict=True):
            if one != other:
                track.order_step(rule, Fraction(other, self.scale), params)
        dropped = abs(change - moved)
        places = run.places["line"]
        expected = {
            "phase": "order",
            "reason": _reason(rule["effect"]),
            "rule": rule["code"],
            "titles": rule["titles"],
            "before": fixed(sum(before), places),
            "after": fixed(sum(after), places),
            "params": {**params, "dropped": fixed(dropped, places)} if dropped else params,
        }
        run.same(f"Rule {rule['code']} on the order", step, expected)

    def _change(self, effect: Json, total: int) -> int:
        mode, places = self.whole.policy["line"]["mode"], self.whole.places["line"]
        if effect["type"] == "amount":
            return _round(_signed(effect, "amount"), places, mode)
        return _round(total * _signed(effect, "percent") / 100, 0, mode)

    def _spread(self, change: int, members: Sequence[int], before: Sequence[int]) -> list[int]:
        """By largest remainder; a line stops at the shown bound in its way, the others take over."""
        after = list(before)
        while change and (open_ := [number for number in members if self._room(number, after, change)]):
            shares = largest_remainder(change, [before[number] for number in open_])
            change = 0
            for number, share in zip(open_, shares, strict=True):
                room = self._room(number, after, share)
                taken = max(-room, min(room, share))
                after[number] += taken
                change += share - taken
        return after

    def _room(self, number: int, amounts: Sequence[int], change: int) -> int:
        state, side = self.states[number], "floor" if change < 0 else "ceiling"
        mode = "ceiling" if side == "floor" else "floor"
        limits = [
            _round(bound * state.quantity + state.fee, self.whole.places["line"], mode)
            for bound in self.whole.bounds(state, side)
        ]
        if side == "floor":
            return amounts[number] - max([0, *limits])
        return min(limits) - amounts[number] if limits else abs(change)


def _tax(run: _Replay, states: Sequence[_State]) -> None:
    """Tax, net and total of each line, and the totals."""
    answer, places = run.answer, max(run.places["tax"], run.places["line"])
    asked, owed = answer["tax_treatment"] is not None, answer["tax_treatment"] == "standard"
    if not asked:
        places = run.places["line"]
    taxes = _taxes(run, states) if asked else [Fraction()] * len(states)
    nets: list[Fraction] = []
    for state, tax in zip(states, taxes, strict=True):
        line = state.line
        amount = _number(line["subtotal"]) + _number(line["order_adjustment"])
        net = amount - tax if line["tax_included"] else amount
        nets.append(net)
        for name, value in (("net", net), ("tax", tax * owed), ("total", net + tax * owed)):
            expected = None if name == "tax" and not asked else _fixed(value, places)
            run.same(f"{state.where}, {name}", line[name], expected)
    if len(states) < len(answer["lines"]):
        run.same(
            "Totals beside a refused line", [answer[name] for name in ("subtotal", "net", "tax", "total")], [None] * 4
        )
        return
    _totals(run, states, taxes, nets)


def _taxes(run: _Replay, states: Sequence[_State]) -> list[Fraction]:
    """What is in (or on) the amount of each line."""
    places, mode, level = run.places["tax"], run.policy["tax"]["mode"], run.policy["tax_level"]
    amounts = [_number(state.line["subtotal"]) + _number(state.line["order_adjustment"]) for state in states]
    shares = [state.rate / (1 + state.rate if state.line["tax_included"] else 1) for state in states]
    if level == "order":
        return _taxes_of_order(run, states, amounts, shares)
    found = []
    for state, amount, share in zip(states, amounts, shares, strict=True):
        if level == "unit":
            unit = Fraction(_round(amount / state.quantity * share, places, mode), 10**places) if state.quantity else 0
            tax = unit * state.quantity
        else:
            tax = amount * share
        found.append(Fraction(_round(tax, places, mode), 10**places))
    return found


def _taxes_of_order(
    run: _Replay, states: Sequence[_State], amounts: Sequence[Fraction], shares: Sequence[Fraction]
) -> list[Fraction]:
    """Rounded once for the lines of one rate, and spread over them."""
    places, scale = run.places["tax"], 10 ** run.places["line"]
    found = [Fraction()] * len(states)
    order = sorted(range(len(states)), key=lambda number: (states[number].line["sku"], states[number].line["unit"]))
    for share, included in sorted(
        {(share, state.line["tax_included"]) for share, state in zip(shares, states, strict=True)}
    ):
        alike = [
            number for number in order if (shares[number], states[number].line["tax_included"]) == (share, included)
        ]
        whole = _round(sum(amounts[number] for number in alike) * share, places, run.policy["tax"]["mode"])
        for number, part in zip(
            alike, largest_remainder(whole, [int(amounts[number] * scale) for number in alike]), strict=True
        ):
            found[number] = Fraction(part, 10**places)
    return found


def _totals(run: _Replay, states: Sequence[_State], taxes: Sequence[Fraction], nets: Sequence[Fraction]) -> None:
    answer, minor, mode, tax_mode = run.answer, run.minor, run.policy["line"]["mode"], run.policy["tax"]["mode"]
    gross = included = on_top = Fraction()
    plain = Fraction()
    for state, tax, net in zip(states, taxes, nets, strict=True):
        if state.line["tax_included"]:
            gross, included = gross + net + tax, included + tax
        else:
            plain, on_top = plain + net, on_top + tax
    owed = answer["tax_treatment"] == "standard"
    taken_out = _round(included, minor, tax_mode)
    expected_net = _round(plain, minor, mode) + _round(gross, minor, mode) - taken_out
    expected_tax = (_round(on_top, minor, tax_mode) + taken_out) if owed else 0
    subtotal = _round(sum((Fraction(state.line["subtotal"]) for state in states), start=Fraction()), minor, mode)
    asked = answer["tax_treatment"] is not None
    for name, value in (
        ("subtotal", subtotal),
        ("net", expected_net),
        ("tax", expected_tax if asked else None),
        ("total", expected_net + expected_tax),
    ):
        expected = None if value is None else {"minor": value, "currency": run.currency}
        run.same(f"The order's {name}", answer[name], expected)
    run.checked.append("the totals")


# --- Numbers and nouns ---


def _factor(facts: Json, unit: str) -> Fraction:
    return next(_number(fact["factor"]) for fact in facts["units"] if fact["unit"] == unit)


def _number(text: str) -> Fraction:
    """A decimal string, or n/d. An exponent, which no answer has, could stand for more digits than fit anywhere.

    :raises ValueError: for anything else
    """
    if not set(text) <= _DIGITS:
        raise ValueError(f"{text[:40]!r} is no number")
    return Fraction(text)


def _net(amount: Fraction, state: _State) -> Fraction:
    return amount / (1 + state.rate) if state.line["tax_included"] else amount


def _text(number: Fraction) -> str:
    return ratio_text(number.numerator, number.denominator)


def _fixed(number: Fraction, places: int) -> str:
    """With that many decimals; a number that needs more stands as it is, and so differs from any answer."""
    scaled = number * 10**places
    return fixed(int(scaled), places) if scaled.denominator == 1 else _text(number)


def _price_text(price: Fraction, run: _Replay) -> str:
    """A unit price with the currency's decimals, or as many more as it needs."""
    scaled = price * 10**run.minor
    return fixed(int(scaled), run.minor) if scaled.denominator == 1 else _text(price)


def _round(number: Fraction, places: int, mode: str) -> int:
    return divide(number.numerator * 10**places, number.denominator, Mode(mode))


def _instants(noun: Json, edge: str) -> list[datetime]:
    return [] if noun[edge] is None else [datetime.fromisoformat(noun[edge])]


def _earliest(edges: Iterable[str | None]) -> str | None:
    return min((edge for edge in edges if edge is not None), key=datetime.fromisoformat, default=None)


def _tier(tiers: Sequence[Json], quantity: Fraction) -> Json:
    """The last tier *quantity* has reached; quantity 0 stands in the first."""
    reached = [tier for tier in tiers if _has_reached(tier, quantity)]
    return reached[-1] if quantity else tiers[0]


def _has_reached(tier: Json, quantity: Fraction) -> bool:
    return quantity >= _number(tier["from"]) if tier["from"] is not None else quantity > _number(tier["above"])


def _graduated(tiers: Sequence[Json], quantity: Fraction) -> tuple[Fraction, Fraction]:
    begins = [_number(tier["above"]) for tier in tiers]
    ends = [*begins[1:], quantity]
    entered = [
        (tier, begin, min(end, quantity))
        for tier, begin, end in zip(tiers, begins, ends, strict=True)
        if begin < quantity
    ]
    amount = sum(((end - begin) * _number(tier["unit_price"]) for tier, begin, end in entered), start=Fraction())
    return amount, sum((_number(tier["flat_fee"]) for tier, _, _ in entered), start=Fraction())


def _in_scope(scope: Json, facts: Json) -> bool:
    def names(skus: str, categories: str, brands: str) -> bool:
        return (
            facts["sku"] in scope[skus]
            or facts["brand"] in scope[brands]
            or any(f"{own}/".startswith(f"{path}/") for own in facts["categories"] for path in scope[categories])
        )

    named = scope["everything"] or names("skus", "categories", "brands")
    return bool(named) and not names("excluded_skus", "excluded_categories", "excluded_brands")


def _specificity(noun: Json) -> tuple[bool, bool, bool]:
    audience = noun["audience"]
    return audience["company"] is not None, bool(audience["segments"]), bool(audience["countries"])


def _signed(effect: Json, name: str) -> Fraction:
    return _number(effect[name]) if effect["surcharge"] else -_number(effect[name])


def _reason(effect: Json) -> str:
    kind = str(effect["type"])
    return f"{kind}_{'on' if effect['surcharge'] else 'off'}" if kind in {"percent", "amount"} else kind


def _loser(phase: str, noun: Json, reason: str, params: Json) -> Json:
    return {"phase": phase, "rule": noun["code"], "titles": noun["titles"], "reason": reason, "params": params}


def _params(effect: Json) -> Json:
    return {name: effect[name] for name in ("percent", "amount", "buy", "get") if name in effect}


def _short_of(effect: Json, state: _State) -> tuple[str, Json] | None:
    """Of a quantity table and of buy-and-get: the quantity they begin at."""
    if effect["type"] == "quantity_table":
        begin = effect["steps"][0]["from"]
        return ("needs_quantity", {"quantity": begin}) if state.counted < _number(begin) else None
    if effect["type"] == "buy_get":
        complete = _number(effect["buy"]) + _number(effect["get"])
        return ("needs_quantity", {"quantity": _text(complete)}) if state.base < complete else None
    return None


def main(arguments: Sequence[str]) -> int:
    """0: all that was worked out again agrees. 1: something does not follow. 2: the files could not be read."""
    if len(arguments) != 2:
        sys.stderr.write("Give two files: python -m pricing.engine.replay ANSWER.json LEAVES.json\n")
        return 2
    documents: list[bytes] = []
    for name in arguments:
        try:
            with open(name, "rb") as file:  # noqa: PTH123 - the engine imports no pathlib: it is pure but for this reading
                documents.append(file.read())
        except OSError as error:
            sys.stderr.write(f"{name} cannot be read: {error.strerror}\n")
            return 2
    found = replay(*documents)
    for title, said in (
        ("Taken as asked", found.asked),
        ("Checked", found.checked),
        ("Not checked", found.unchecked),
        ("WRONG", found.findings),
    ):
        for sentence in said:
            sys.stdout.write(f"{title}: {sentence}\n")
    return 1 if found.findings else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
