"""Phone numbers as people write them, and as they are dialled. Pure."""

import re

#: What people put between digits: also dashes of word processors, and marks that nobody sees, which phones copy along.
_ORNAMENT = re.compile(r"[\s().\-/\u2010-\u2015\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")

#: Countries whose numbers keep the zero when somebody calls from abroad: Italy, San Marino, the Vatican, Ivory Coast,
#: Benin, Congo.
_KEEP_ZERO = ("39", "378", "379", "225", "229", "242")


def as_dialled(text: str) -> str:
    """The number without what people put between its digits, and with its plus, where the country is in front:
    `+4930123456` for `0049 (0)30 / 12-34-56`. Anything else comes back as little changed as it can be.
    """
    bare = _ORNAMENT.sub("", _without_trunk_zero(text.strip().removeprefix("tel:")))
    # Eleven digits and more have a country's code in front.
    return f"+{bare}" if re.fullmatch(r"[1-9][0-9]{10,14}", bare) else re.sub(r"^(?:00|011)(?=[1-9])", "+", bare)


def is_dialled(text: str) -> bool:
    """Whether a number or address stands there as calls name it."""
    return bool(re.fullmatch(r"\+[1-9][0-9]{1,14}|(?i:sips?|client|whatsapp):\S+", text))


def _without_trunk_zero(text: str) -> str:
    """`+49 (0)30` and `+49 (030)` as `+49 30`: who dials the country leaves that zero out."""
    before, zero, after = text.partition("(0")
    plus = r"(?:\+|00|011)?" if after.lstrip().startswith(")") else r"(?:\+|00|011)"
    code = re.fullmatch(rf"{plus}([1-9][0-9]{{0,2}})", _ORNAMENT.sub("", before))
    return f"{before}({after}" if zero and code and code[1] not in _KEEP_ZERO else text
