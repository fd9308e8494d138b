"""Agents for tests, made of the text of their files, and the functions that they run."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dialplan.call.functions import Functions
from dialplan.call.settings import template_names
from dialplan.config.loading import load
from dialplan.config.model import Agent
from dialplan.facts import Call

CALL = Call(id="CA1", from_="+15550100099", caller_name="Zoë")


def agent_of(root: Path, text: str, plugin: str = "", environment: Mapping[str, str] = MappingProxyType({})) -> Agent:
    """The agent of a file with this text, which has no mistakes; its plugin is `plugins.tools`."""
    for folder, name, content in (("agents", "a.yaml", text), ("plugins", "tools.py", plugin)):
        (root / folder).mkdir(exist_ok=True)
        (root / folder / name).write_text(content, "utf-8")
    loading = load(root, environment)
    assert [str(p) for p in loading.problems if p.code not in ("W302", "W401", "W501")] == []
    return loading.dialplan.agents["a"]


async def run(functions: Functions, agent: Agent, name: str, arguments: object = None) -> Any:
    """A function's answer, as the model reads it. Arguments that are text go as they are."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    async with asyncio.timeout(20):
        return json.loads(await functions.run(agent.functions[name], text, CALL, lambda: template_names(agent, CALL)))
