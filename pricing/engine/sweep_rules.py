"""Which plan the lines of a SKU's scope have in a situation, and which quantity rules; made when first asked for."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from pricing.engine.columns import Array, Columns, Ints
from pricing.engine.rules import ReadyQuantityRule, Rules, View
from pricing.engine.sweep_plans import LIMIT, MICRO, Number, Plan, Shape, plan

MOST_CELLS: Final = 1 << 25
"""Of the table of plans, by group of rules and scope: 128 MB."""

_UNKNOWN: Final = -1
_NONE_YET: Final[Ints] = np.zeros(0, np.int64)


class Check(NamedTuple):
    """A quantity rule in millionths; *unit*: its position in `Columns.units`, None for base units."""

    unit: int | None
    minimum: int
    maximum: int
    multiple: int


Checks = tuple[Check, ...] | None
"""None: the scalar evaluator checks."""


class PlanTables:
    """Plans by group of rules and scope, kept with the columns between sweeps."""

    def __init__(self, rules: Rules, columns: Columns, *, most_cells: int = MOST_CELLS) -> None:
        self.rules = rules
        self._most_cells = most_cells
        self._columns = columns
        self._rows: dict[tuple[int, int], int] = {}
        self._asked: list[tuple[View, int]] = []
        self._table: Array = _NONE_YET
        self._far: dict[int, int] = {}
        self._plans: dict[Plan, int] = {}
        self._plan_places: list[tuple[int, int]] = []
        self._shapes: dict[Shape, int] = {}
        self.shapes: list[Shape] = []
        self._values: list[list[tuple[int, ...]]] = []
        self._matrices: list[tuple[int, list[Number]]] = []
        self.plan_shape: Ints = _NONE_YET
        self._plan_index: Ints = _NONE_YET
        self._checks: dict[tuple[str, ...], int] = {}
        self.checks: list[Checks] = []
        self._check_of = np.full(columns.scope_count, _UNKNOWN)

    @classmethod
    def taken_from(cls, columns: Columns, rules: Rules) -> "PlanTables":
        """Those kept with the columns, which are the caller's alone until `keep`: a sweep in another thread meanwhile
        makes its own.
        """
        found = columns.memo.pop("plans", None)
        return found if isinstance(found, PlanTables) and found.rules is rules else cls(rules, columns)

    def keep(self) -> None:
        self._columns.memo["plans"] = self

    def row(self, view: View, epoch: int, instant: int) -> int:
        """The row of *view*'s rules at *instant*, which lies in *epoch*: no rule begins or ends inside one."""
        key = (view.rule_group, epoch)
        found = self._rows.get(key)
        if found is None:
            found = self._rows[key] = len(self._asked)
            self._asked.append((view, instant))
            cells = len(self._asked) * self._columns.scope_count
            if len(self._table) < cells <= self._most_cells:
                grown = np.full(min(2 * cells, self._most_cells), _UNKNOWN, np.int32)
                grown[: len(self._table)] = self._table
                self._table = grown
        return found

    def plans(self, row: Ints | int, scopes: Ints) -> Array:
        """The numbers of the plans of lines in rule situations *row* and of *scopes*."""
        cells = row * self._columns.scope_count + scopes
        if len(self._asked) * self._columns.scope_count > self._most_cells:
            return self._looked_up(cells)
        found = self._table.take(cells)
        missing = found == _UNKNOWN
        if missing.any():
            for cell in np.unique(cells[missing]).tolist():
                self._table[cell] = self._made(cell)
            self._settle()
            found = self._table.take(cells)
        return found

    def _looked_up(self, cells: Ints) -> Ints:
        """Where the table would be too large: slower, in memory for those plans alone that are asked for."""
        if len(self._far) > max(self._most_cells // 32, 1):
            self._far.clear()
        distinct, inverse = np.unique(cells, return_inverse=True)
        for cell in distinct.tolist():
            if cell not in self._far:
                self._far[cell] = self._made(cell)
        self._settle()
        found = np.array([self._far[cell] for cell in distinct.tolist()], np.int64)
        return found.take(inverse)

    def _made(self, cell: int) -> int:
        row, scope = divmod(cell, self._columns.scope_count)
        view, instant = self._asked[row]
        return self._number(plan(self.rules, self._columns.facts_of(scope), view, instant))

    def values(self, shape: int, plans: Ints) -> Callable[[int], Number]:
        """The numbers of a shape's plans: by place one for all, or one a line."""
        counted, columns = self._matrices[shape]
        of_shape = self._values[shape]
        if counted != len(of_shape):
            columns = [_column(of_shape, place) for place in range(len(of_shape[0]))]
            self._matrices[shape] = len(of_shape), columns
        index: list[Ints] = []

        def value(place: int) -> Number:
            column = columns[place]
            if isinstance(column, int):
                return column
            if not index:
                index.append(self._plan_index.take(plans))
            return column.take(index[0])

        return value

    def checks_of(self, scopes: Ints) -> Array:
        """Which of `checks` lines of *scopes* must pass."""
        found = self._check_of.take(scopes)
        missing = found == _UNKNOWN
        if missing.any():
            for scope in np.unique(scopes[missing]).tolist():
                rules = self.rules.quantity_rules_for(self._columns.facts_of(scope))
                codes = tuple(rule.code for rule in rules)
                number = self._checks.get(codes)
                if number is None:
                    number = self._checks[codes] = len(self.checks)
                    self.checks.append(_checks(rules, self._columns))
                self._check_of[scope] = number
            found = self._check_of.take(scopes)
        return found

    def _number(self, made: Plan) -> int:
        found = self._plans.get(made)
        if found is None:
            found = self._plans[made] = len(self._plans)
            shape = self._shapes.get(made.shape)
            if shape is None:
                shape = self._shapes[made.shape] = len(self.shapes)
                self.shapes.append(made.shape)
                self._values.append([])
                self._matrices.append((0, []))
            self._plan_places.append((shape, len(self._values[shape])))
            self._values[shape].append(made.values)
        return found

    def _settle(self) -> None:
        if len(self.plan_shape) < len(self._plans):
            self.plan_shape, self._plan_index = np.array(self._plan_places).T.copy()


def _column(values: Sequence[tuple[int, ...]], place: int) -> Number:
    column = np.array([of_plan[place] for of_plan in values])
    return int(column[0]) if (column == column[0]).all() else column


def _checks(rules: Sequence[ReadyQuantityRule], columns: Columns) -> Checks:
    found = []
    for rule in rules:
        minimum = 0 if rule.minimum is None else -(-rule.minimum[0] * MICRO // rule.minimum[1])
        maximum = LIMIT if rule.maximum is None else rule.maximum[0] * MICRO // rule.maximum[1]
        number, over = (1, MICRO) if rule.multiple is None else rule.multiple
        multiple, rest = divmod(number * MICRO, over)
        if rest or multiple > LIMIT:
            return None
        found.append(Check(None if rule.unit is None else columns.unit_of(rule.unit), minimum, maximum, multiple))
    return tuple(found)
