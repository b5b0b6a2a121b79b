"""Names of attributes, their values and units of sale, as buyers read them.

A catalogue carries keys such as `length_mm` and words such as `each`, which are for programs. What this table does not
know is shown in a readable form of the key, so that a new attribute needs no change here.
"""

from decimal import Decimal, InvalidOperation
from gettext import NullTranslations
from typing import Final

import msgspec


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for "translate later"
    """Mark *text* for translation; it is translated when shown."""
    return text


ATTRIBUTES: Final[dict[str, str]] = {
    "area": N_("Cross-section"),
    "backing": N_("Backing"),
    "base": N_("Base"),
    "bore": N_("Bore"),
    "bore_code": N_("Bore code"),
    "brake": N_("Brake"),
    "castors": N_("Castors"),
    "chain": N_("Chain"),
    "class": N_("Class"),
    "clearance": N_("Clearance"),
    "coating": N_("Coating"),
    "colour": N_("Colour"),
    "cord": N_("Cord thickness"),
    "cores": N_("Cores"),
    "current": N_("Rated current"),
    "cut": N_("Cut"),
    "depth": N_("Depth"),
    "diameter": N_("Diameter"),
    "drive": N_("Drive"),
    "face": N_("Face"),
    "filter": N_("Filter"),
    "finish": N_("Finish"),
    "fixing": N_("Fixing"),
    "flux": N_("Luminous flux"),
    "foot": N_("Feet"),
    "fork": N_("Fork length"),
    "form": N_("Form"),
    "grade": N_("Grade"),
    "grain": N_("Grain"),
    "grit": N_("Grit"),
    "handle": N_("Handle"),
    "hardness": N_("Hardness"),
    "head": N_("Head"),
    "height": N_("Height"),
    "housing": N_("Housing"),
    "hub": N_("Hub"),
    "inner": N_("Inner diameter"),
    "ip": N_("Protection class"),
    "kind": N_("Kind"),
    "length": N_("Length"),
    "lens": N_("Lens"),
    "load": N_("Load capacity"),
    "mass": N_("Weight"),
    "material": N_("Material"),
    "minutes": N_("Minutes"),
    "mix": N_("Mixing ratio"),
    "outer": N_("Outer diameter"),
    "places": N_("Places"),
    "poles": N_("Poles"),
    "power": N_("Power"),
    "pressure": N_("Pressure"),
    "profile": N_("Profile"),
    "protection": N_("Protection"),
    "radius": N_("Corner radius"),
    "rail": N_("Rail"),
    "range": N_("Range"),
    "rating": N_("Rated voltage"),
    "ratio": N_("Ratio"),
    "resolution": N_("Resolution"),
    "rollers": N_("Rollers"),
    "rows": N_("Rows"),
    "seal": N_("Seal"),
    "seat": N_("Seat height"),
    "series": N_("Series"),
    "shank": N_("Shank"),
    "shape": N_("Shape"),
    "shelves": N_("Shelves"),
    "size": N_("Size"),
    "snr": N_("Noise reduction"),
    "span": N_("Jaw span"),
    "standard": N_("Standard"),
    "strength": N_("Strength"),
    "stroke": N_("Stroke"),
    "stud": N_("Stud"),
    "teeth": N_("Teeth"),
    "thickness": N_("Thickness"),
    "thread": N_("Thread"),
    "tip": N_("Tip"),
    "tolerance": N_("Tolerance"),
    "tone": N_("Light colour"),
    "top": N_("Top"),
    "tube": N_("Tube diameter"),
    "type": N_("Type"),
    "viscosity": N_("Viscosity"),
    "voltage": N_("Voltage"),
    "volume": N_("Volume"),
    "ways": N_("Ways"),
    "width": N_("Width"),
    "wire": N_("Wire diameter"),
}
MEASURES: Final[dict[str, str]] = {
    "bar": "bar",
    "db": "dB",
    "g": "g",
    "kg": "kg",
    "l": "l",
    "lm": "lm",
    "m": "m",
    "ml": "ml",
    "mm": "mm",
    "mm2": "mm²",
    "nm": "Nm",
    "t": "t",
    "um": "µm",
    "w": "W",
}
"""Endings of keys that are the measure of the value."""

VALUES: Final[dict[str, str]] = {
    "amber": N_("amber"),
    "anaerobic": N_("anaerobic"),
    "auto": N_("auto-darkening"),
    "autoxl": N_("auto-darkening, large view"),
    "band": N_("banded ear plugs"),
    "beech": N_("beech"),
    "black": N_("black"),
    "blue": N_("blue"),
    "brake": N_("with brake"),
    "bronze": N_("bronze"),
    "brown": N_("brown"),
    "cap": N_("cap"),
    "ceramic": N_("ceramic"),
    "chain": N_("chain lube"),
    "chrome": N_("chrome-plated"),
    "clamp": N_("clamping"),
    "clear": N_("clear"),
    "cloth": N_("cloth"),
    "cool": N_("cool white"),
    "copper": N_("copper paste"),
    "countersunk": N_("countersunk"),
    "degreaser": N_("degreaser"),
    "elbow": N_("elbow"),
    "glides": N_("on glides"),
    "green": N_("green"),
    "grey": N_("grey"),
    "high": N_("high"),
    "low": N_("low"),
    "medium": N_("medium"),
    "muff": N_("ear muff"),
    "neutral": N_("neutral white"),
    "nipple": N_("double nipple"),
    "orange": N_("orange"),
    "passive": N_("fixed shade"),
    "plain": N_("without brake"),
    "plate": N_("mounting plate"),
    "plugs": N_("ear plugs"),
    "red": N_("red"),
    "rust": N_("rust remover"),
    "silicone": N_("silicone"),
    "slotted": N_("slotted"),
    "smoke": N_("smoke grey"),
    "solid": N_("solid wood"),
    "steel": N_("steel"),
    "straight": N_("straight"),
    "tandem": N_("tandem"),
    "tee": N_("tee"),
    "warm": N_("warm white"),
    "wheels": N_("on wheels"),
    "white": N_("white"),
    "yellow": N_("yellow"),
    "zinc": N_("zinc"),
}
UNITS: Final[dict[str, tuple[str, str]]] = {
    "each": (N_("unit"), N_("units")),
    "box": (N_("box"), N_("boxes")),
    "carton": (N_("carton"), N_("cartons")),
    "kg": ("kg", "kg"),
    "metre": (N_("metre"), N_("metres")),
    "pack": (N_("pack"), N_("packs")),
    "pair": (N_("pair"), N_("pairs")),
    "pallet": (N_("pallet"), N_("pallets")),
    "reel": (N_("reel"), N_("reels")),
}


class Attribute(msgspec.Struct, frozen=True):
    """An attribute's *name* and the *measure* of its values, which may be empty."""

    name: str
    measure: str

    @property
    def heading(self) -> str:
        return f"{self.name} ({self.measure})" if self.measure else self.name


class Labels:
    """The table in one language."""

    def __init__(self, catalogue: NullTranslations) -> None:
        self._gettext = catalogue.gettext

    def attribute(self, key: str) -> Attribute:
        """Name an attribute: `length_mm` is Length in mm."""
        stem, _, ending = key.rpartition("_")
        measure = MEASURES.get(ending, "") if stem else ""
        stem = stem if measure else key
        known = ATTRIBUTES.get(stem)
        return Attribute(self._gettext(known) if known else stem.replace("_", " ").capitalize(), measure)

    def value(self, text: str, key: str = "") -> str:
        """A value with its measure; without a *key*, for a column that names the measure above."""
        known = VALUES.get(text)
        shown = self._gettext(known) if known else _size(text)
        measure = self.attribute(key).measure if key else ""
        return f"{shown}\N{NO-BREAK SPACE}{measure}" if measure else shown

    def unit(self, unit: str, count: str | Decimal | int = 1) -> str:
        """The name of a unit of sale, for *count* of it."""
        names = UNITS.get(unit)
        if names is None:
            return unit.replace("_", " ")
        return self._gettext(names[0 if _is_one(count) else 1])


def _size(text: str) -> str:
    """Write a size such as 40x62x8 with multiplication signs; anything else stays as it is."""
    parts = text.split("x")
    if len(parts) == 1 or not all(part.replace(".", "", 1).isdigit() for part in parts):
        return text
    return " \N{MULTIPLICATION SIGN} ".join(parts)


def _is_one(count: str | Decimal | int) -> bool:
    try:
        return Decimal(count) == 1
    except InvalidOperation:
        return False
