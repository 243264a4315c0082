"""Units of everyday quantities, as far as needed to see that an equation converts one into another."""

import re

#: Units that are converted into one another, one dimension a line.
_DIMENSIONS = (
    "second sec|minute min|hour hr|day|week|month|year|decade",
    "cent|dollar $|penny pennies|dime|nickel|quarter",
    "inch|foot feet ft|yard yd|mile",
    "ounce oz|pound lb|ton",
    "millimeter mm|centimeter cm|meter m|kilometer km",
    "milligram mg|gram g|kilogram kg",
    "milliliter ml|liter l",
    "teaspoon|tablespoon|cup|pint|quart|gallon",
)
_UNITS = {
    form: (dimension, unit)
    for dimension, units in enumerate(_DIMENSIONS)
    for unit, names in enumerate(units.split("|"))
    for name in names.split()
    for form in (name, f"{name}s", f"{name}es")
}
_WORD = re.compile(r"[a-z]+|\$")


def mixes_units(text: str) -> bool:
    """Whether a text has two units of one dimension, such as minutes and hours."""
    found: dict[int, int] = {}
    for word in _WORD.findall(text.lower()):
        if word in _UNITS:
            dimension, unit = _UNITS[word]
            if found.setdefault(dimension, unit) != unit:
                return True
    return False
