"""Everything that the doctor looks at, at once, and setting right what can be set."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dialplan.config.dialplan import Dialplan
from dialplan.config.loading import Loading
from dialplan.config.problems import has_errors
from dialplan.config.secret import reveal
from dialplan.errors import ConfigError, PeerError
from dialplan.server import addresses, environment
from dialplan.server.doctor import account, address, installed, numbers, speech
from dialplan.server.doctor.finding import Check, Finding, State, veiled
from dialplan.server.doctor.numbers import Change
from dialplan.server.twilio_account import twilio_account
from dialplan.wire.twilio_numbers import Number


@dataclass(frozen=True, slots=True)
class Told:
    """What the operator's variables say. A wrong address counts as none, and is a finding."""

    deepgram: speech.Account
    twilio: account.Access
    public_url: str
    secret: str


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found."""

    dialplan: Dialplan
    told: Told
    others: tuple[Finding, ...]
    """Those that are not about a number."""
    numbers: tuple[Number, ...] | None
    """None where Twilio could not be asked."""

    @property
    def findings(self) -> list[Finding]:
        """All of them, without any secret."""
        told, secrets = list(self.others), _secrets(self.told, self.dialplan)
        if self.numbers is not None:
            told += numbers.judged(self.numbers, self.dialplan, self.told.public_url)
        return [veiled(finding, secrets) for finding in told]

    @property
    def plan(self) -> list[Change]:
        """What `--fix` would set; nothing as long as PUBLIC_URL is none that Twilio could dial."""
        if not addresses.can_be_dialled(self.told.public_url):
            return []
        return numbers.plan(self.numbers or (), self.dialplan, self.told.public_url)

    def after(self, changed: Sequence[Number]) -> "Examination":
        """The same, with these numbers as Twilio holds them by now."""
        new = {number.sid: number for number in changed}
        return replace(self, numbers=tuple(new.get(number.sid, number) for number in self.numbers or ()))


async def examine(loading: Loading, variables: Mapping[str, str]) -> Examination:
    """Look at everything; nothing is changed anywhere.

    Args:
        loading: the project's files.
        variables: of the process, those of `.env` included.
    """
    told, wrong = _told(variables)
    refused = {finding.check for finding in wrong}
    async with asyncio.TaskGroup() as group:
        speaking = group.create_task(speech.found(speech.accounts(loading.dialplan, told.deepgram)))
        reaching = group.create_task(address.found(told.public_url, told.secret))
        asking = group.create_task(account.found(told.twilio))
    about_twilio, owned = asking.result()
    others = [
        *installed.found(),
        _project(loading),
        # What is said about an address that is none, is said already.
        *(one for one in [*speaking.result(), *reaching.result(), *about_twilio] if one.check not in refused),
        *wrong,
    ]
    return Examination(loading.dialplan, told, tuple(others), owned)


async def carry_out(examination: Examination, change: Change) -> Number:
    """Set one number right. Raises PeerError: it is as it was, as far as anybody knows."""
    access = examination.told.twilio
    async with twilio_account(access.url, access.sid, access.auth_token) as twilio:
        return await twilio.change(change.number, change.values)


def why(examination: Examination, error: PeerError) -> str:
    """The error's words, without any secret."""
    finding = Finding(Check.NUMBERS, State.WRONG, f"Twilio {error}")
    return veiled(finding, _secrets(examination.told, examination.dialplan)).message


def _told(variables: Mapping[str, str]) -> tuple[Told, list[Finding]]:
    wrong: list[Finding] = []

    def usable(check: Check, name: str) -> str:
        try:
            return _ADDRESSES[name](variables)
        except ConfigError as exc:
            wrong.append(Finding(check, State.WRONG, str(exc), f"correct {name} in .env or in the environment"))
            return ""

    token = variables.get("TWILIO_AUTH_TOKEN", "")
    deepgram_url = usable(Check.DEEPGRAM, "DEEPGRAM_URL")
    api_url = usable(Check.TWILIO, "TWILIO_API_URL")
    told = Told(
        deepgram=speech.Account(deepgram_url, variables.get("DEEPGRAM_API_KEY", "")),
        twilio=account.Access(api_url, variables.get("TWILIO_ACCOUNT_SID", ""), token),
        public_url=usable(Check.ADDRESS, "PUBLIC_URL"),
        secret=environment.secret(variables, token),
    )
    return told, wrong


_ADDRESSES = {
    "DEEPGRAM_URL": environment.deepgram_url,
    "TWILIO_API_URL": environment.twilio_api_url,
    "PUBLIC_URL": environment.public_url,
}


def _project(loading: Loading) -> Finding:
    agents, problems = len(loading.dialplan.agents), len(loading.problems)
    can = f"{agents} agent{'s' * (agents != 1)} can answer"
    if not problems:
        state, help_ = (State.OK, "") if agents else (State.WRONG, "write one: agents/NAME.yaml")
        return Finding(Check.PROJECT, state, f"{can}; no mistakes", help_)
    state = State.WRONG if has_errors(loading.problems) else State.WARNING
    return Finding(Check.PROJECT, state, f"{can}; {problems} problem{'s' * (problems != 1)}", "run: dialplan check")


def _secrets(told: Told, dialplan: Dialplan) -> list[str]:
    """Everything that may never be shown."""
    keys = [reveal(agent.api_key) for agent in dialplan.agents.values()]
    urls = [told.deepgram.url, told.twilio.url, told.public_url]
    urls += [reveal(agent.deepgram_url) for agent in dialplan.agents.values()]
    passwords = [split.password or "" for url in urls if (split := addresses.parts(url))]
    return [told.deepgram.key, told.twilio.auth_token, told.secret, *keys, *passwords]
