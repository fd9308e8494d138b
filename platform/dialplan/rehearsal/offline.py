"""The offline service beside a real server (`serve --offline`): anybody can call, and is understood as far as the
agents' rehearsals go."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from dialplan.config.model import Agent
from dialplan.rehearsal.ears import Ears
from dialplan.rehearsal.service import speech_service


@asynccontextmanager
async def offline_service(agents: Mapping[str, Agent]) -> AsyncIterator[str]:
    """The stand-in for Deepgram; its address."""
    async with Ears() as ears, speech_service(agents, ears) as service:
        yield service.url
