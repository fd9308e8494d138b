"""Dialplan: many phone numbers, each answered by a voice agent, each agent one YAML file.

What a plugin imports stands here and nothing else does.
"""

from dialplan.errors import FunctionError
from dialplan.facts import Call, IdempotencyKey, idempotent

__version__ = "0.1.0"
__all__ = ["Call", "FunctionError", "IdempotencyKey", "__version__", "idempotent"]
