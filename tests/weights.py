"""What an object weighs with all that it holds: for tests that nothing grows without bound."""

import gc
import sys
import types

_SHARED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)


def weight(root: object) -> int:
    """Bytes of an object and of everything that can be reached from it, code and modules left out."""
    seen, left, total = set[int](), [root], 0
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, _SHARED):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        left += gc.get_referents(one)
    return total
