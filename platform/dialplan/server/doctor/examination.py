"""The whole examination: everything is looked at, at once where it can be, and nothing is changed. And `--fix`, which
changes what the examination has found, and nothing else."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import httpx

from dialplan.config.dialplan import Dialplan
from dialplan.config.loading import Loading
from dialplan.config.problems import Severity
from dialplan.errors import ConfigError
from dialplan.server import environment
from dialplan.server.doctor import account as twilio
from dialplan.server.doctor import asking, installed, keys, reachable
from dialplan.server.doctor.account import Failed, Login, Numbers
from dialplan.server.doctor.findings import Check, Finding, State
from dialplan.server.doctor.pointing import LABELS, Correction, Judgement, is_as_wanted, judge
from dialplan.wire import address
from dialplan.wire.fields import legible
from dialplan.wire.twilio_numbers import Account, Number
from dialplan.words import counted

#: Seconds for each request.
REQUEST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found, and what could be set."""

    findings: tuple[Finding, ...]
    judgement: Judgement
    login: Login | None
    """As whom Twilio can be asked to set something; None where it cannot."""

    def all_findings(self) -> list[Finding]:
        """In their order."""
        return [*self.findings, *self.judgement.all_findings()]

    def plan(self) -> str:
        """What `--fix` would set, for the person who is asked."""
        corrections = self.judgement.corrections
        lines = [line for correction in corrections for line in _planned(correction)]
        fields = sum(len(correction.changes) for correction in corrections)
        changes = f"{counted(fields, 'field')} of {counted(len(corrections), 'number')}"
        doubts = [f for f in self.findings if f.check is Check.PUBLIC_URL and f.state is not State.OK]
        return "\n".join([f"To be set at Twilio, {changes}:", *lines, *(f"  But {doubt.message}" for doubt in doubts)])


@dataclass(frozen=True, slots=True)
class _Told:
    """The operator's variables, as far as they can be right, and what cannot."""

    findings: tuple[Finding, ...]
    auth_token: str = field(repr=False)
    secret: str = field(repr=False)
    deepgram_key: str = field(repr=False)
    deepgram_url: str
    login: Login | None
    public_url: str | None
    """None: it cannot be right."""


def examine(loading: Loading, variables: Mapping[str, str], seconds: float = REQUEST_SECONDS) -> Examination:
    """Look at everything. Whatever comes back, this ends in findings.

    Args:
        loading: the project.
        variables: of the process, those of `.env` included.
        seconds: for each request over the network.

    Raises:
        ConfigError: the environment names a proxy or certificates that cannot be used.
    """
    return asking.run(_examine(loading, variables, seconds))


async def _examine(loading: Loading, variables: Mapping[str, str], seconds: float) -> Examination:
    told = _read(variables, seconds)
    dialplan = loading.dialplan
    async with asking.client() as client, asyncio.TaskGroup() as group:
        deepgram = group.create_task(_deepgram(told, dialplan, seconds))
        account = group.create_task(_account(client, told.login))
        public = group.create_task(_public_url(client, told, dialplan, seconds))
        judgement = group.create_task(_numbers(client, told, dialplan))
    findings = [
        *installed.examine(),
        *_project(loading),
        *told.findings,
        *deepgram.result(),
        *account.result(),
        *public.result(),
    ]
    in_order = sorted(findings, key=lambda finding: list(Check).index(finding.check))
    return Examination(tuple(in_order), judgement.result(), told.login)


# What is known without asking.


def _project(loading: Loading) -> Iterator[Finding]:
    agents = counted(len(loading.dialplan.agents), "agent")
    errors = sum(problem.severity is Severity.ERROR for problem in loading.problems)
    if errors:
        names = ", ".join(loading.set_aside)
        aside = f"; set aside and answering nothing: {names}" if names else ""
        message = f"{counted(errors, 'mistake')} in the files; {agents} can answer{aside}"
        yield Finding(Check.PROJECT, State.WRONG, message, "dialplan check shows each of them")
    elif not loading.dialplan.agents:
        yield Finding(Check.PROJECT, State.WRONG, "there is no agent", "write a file into agents/: see README.md")
    elif loading.problems:
        message = f"{agents} can answer; {counted(len(loading.problems), 'warning')} in the files"
        yield Finding(Check.PROJECT, State.WARNING, message, "dialplan check shows each of them")
    else:
        yield Finding(Check.PROJECT, State.OK, f"{agents} can answer; no mistakes")


def _read(variables: Mapping[str, str], seconds: float) -> _Told:
    findings: list[Finding] = []

    def url(check: Check, read: environment.Reading) -> str | None:
        try:
            return read(variables)
        except ConfigError as exc:
            findings.append(Finding(check, State.WRONG, str(exc), "correct it in the environment or in .env"))
            return None

    deepgram_url = url(Check.DEEPGRAM, environment.deepgram_url)
    api_url = url(Check.TWILIO, environment.twilio_api_url)
    public_url = url(Check.PUBLIC_URL, environment.public_url)
    findings += _twilio_variables(variables)
    token, sid = variables.get("TWILIO_AUTH_TOKEN", ""), variables.get("TWILIO_ACCOUNT_SID", "")
    askable = api_url and sid and token and keys.fit_for_header(sid + token)
    return _Told(
        findings=tuple(findings),
        auth_token=token,
        secret=legible(environment.stream_secret(variables, token)),
        deepgram_key=variables.get("DEEPGRAM_API_KEY", ""),
        deepgram_url=deepgram_url or "",
        login=Login(api_url or "", sid, token, seconds) if askable else None,
        public_url=public_url,
    )


def _twilio_variables(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Those that are missing, or were copied with something around them."""
    if not variables.get("TWILIO_AUTH_TOKEN"):
        help_text = "write it into .env: Twilio's console shows it on its first page"
        message = "TWILIO_AUTH_TOKEN is not set: serve refuses to start, since it could not tell Twilio from a stranger"
        yield Finding(Check.TWILIO, State.WRONG, message, help_text)
    if not variables.get("TWILIO_ACCOUNT_SID"):
        message = (
            "TWILIO_ACCOUNT_SID is not set: calls do without it, but the account and its numbers are not looked at"
        )
        yield Finding(Check.TWILIO, State.WARNING, message, "write it into .env: it begins with AC")
    for name in ("TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID"):
        if not keys.fit_for_header(variables.get(name, "")):
            message = f"{name} holds a space or a character that it cannot have"
            yield Finding(Check.TWILIO, State.WRONG, message, "copy it again, without what is around it")


# What others are asked.


async def _deepgram(told: _Told, dialplan: Dialplan, seconds: float) -> list[Finding]:
    wanted = keys.keys(told.deepgram_url, told.deepgram_key, dialplan.agents.values())
    return await keys.examine([key for key in wanted if key.url], seconds)


async def _account(client: httpx.AsyncClient, login: Login | None) -> list[Finding]:
    if login is None:
        return []
    found = await twilio.account(client, login)
    if isinstance(found, Failed):
        return [Finding(Check.TWILIO, State.WRONG, found.message, found.help)]
    return [_accepted(login, found), *_primary(found)]


def _accepted(login: Login, found: Account) -> Finding:
    if found.status != "active":
        message = f"the account is {found.status[:40]}: none of its numbers takes calls"
        return Finding(Check.TWILIO, State.WRONG, message, "see Twilio's console, or ask their support")
    trial = "; a trial account, which Twilio tells callers and limits" if found.type == "Trial" else ""
    return Finding(Check.TWILIO, State.OK, f"{address.host(login.api_url)} accepts TWILIO_AUTH_TOKEN{trial}")


def _primary(found: Account) -> Iterator[Finding]:
    if found.primary is False:
        message = "TWILIO_AUTH_TOKEN is accepted, but is not the primary auth token, by which Twilio signs its requests"
        yield Finding(Check.TWILIO, State.WARNING, message, "set the primary one: Twilio's console shows it first")


async def _public_url(client: httpx.AsyncClient, told: _Told, dialplan: Dialplan, seconds: float) -> list[Finding]:
    if told.public_url is None:
        return []
    return await reachable.examine(client, told.public_url, told.secret, dialplan, seconds)


async def _numbers(client: httpx.AsyncClient, told: _Told, dialplan: Dialplan) -> Judgement:
    if told.login is None:
        return _unseen("TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are needed for it")
    found = await twilio.numbers(client, told.login)
    if isinstance(found, Failed):
        return _unseen(found.message)
    claimed = [n for n in found.numbers if n.voice_application_sid and dialplan.answer(n.phone_number)]
    applications = await twilio.applications(client, told.login, (n.voice_application_sid for n in claimed))
    judged = judge(found.numbers, dialplan, told.public_url or "", applications)
    unseen = "" if told.public_url else "PUBLIC_URL is needed for it"
    return Judgement((*judged.findings, *_counted(found)), judged.corrections, unseen)


def _counted(found: Numbers) -> Iterator[Finding]:
    if not found.numbers:
        yield Finding(Check.NUMBERS, State.WARNING, "the account has no phone numbers", "buy one in Twilio's console")
    if found.malformed:
        message = f"{counted(found.malformed, 'entry')} of Twilio's list cannot be understood and was passed over"
        yield Finding(Check.NUMBERS, State.WARNING, message)


def _unseen(why: str) -> Judgement:
    return Judgement((Finding(Check.NUMBERS, State.WARNING, f"not looked at: {why}"),), unseen=why)


# Setting what was found.


def _planned(correction: Correction) -> Iterator[str]:
    yield f"  {correction.number.phone_number} ({correction.route.agent.name})"
    for change in correction.changes:
        old, new = address.shown(change.old) or "nothing", address.shown(change.new)
        _, mark, overrides = change.new.partition("#")
        yield f"    {LABELS[change.field]:<15}  {old} → {new}{mark}{overrides}"


def fix(examination: Examination, seconds: float = REQUEST_SECONDS) -> list[Finding]:
    """Set everything that the examination would correct, one number after the other; how each of them is found now."""
    assert examination.login is not None
    return asking.run(_fix(examination.login, examination.judgement.corrections))


async def _fix(login: Login, corrections: tuple[Correction, ...]) -> list[Finding]:
    findings = []
    away = False
    async with asking.client() as client:
        for correction in corrections:
            done = (
                Failed("", "") if away else await twilio.set_number(client, login, correction.number, correction.values)
            )
            findings.append(_set(correction, done, tried=not away))
            away = away or (isinstance(done, Failed) and done.away)
    return findings


def _set(correction: Correction, done: Number | Failed, *, tried: bool) -> Finding:
    name = f"{correction.number.phone_number} ({correction.route.agent.name})"
    if not tried:
        return Finding(Check.NUMBERS, State.WRONG, f"{name} was not tried", "try again: dialplan doctor --fix")
    if isinstance(done, Failed):
        return Finding(Check.NUMBERS, State.WRONG, f"{name} was not set: {done.message}", done.help)
    kept = [
        LABELS[field]
        for field, value in correction.values.items()
        if not is_as_wanted(field, getattr(done, field), value)
    ]
    if kept:
        message = f"{name} was set, but Twilio still has another {', '.join(kept)}"
        return Finding(Check.NUMBERS, State.WRONG, message, "look at the number in Twilio's console")
    return Finding(Check.NUMBERS, State.OK, f"{name} is set: {', '.join(LABELS[c.field] for c in correction.changes)}")
