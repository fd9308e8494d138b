"""Saved files are live at once, by whatever way they are saved; calls on the line keep what they began with."""

import asyncio
import contextlib
import itertools
import json
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from dialplan.config.loading import Loader, Loading
from dialplan.rehearsal.phone import placed
from dialplan.server.reload import Reload, reloading
from dialplan.server.watching import watching
from tests.config.files import write
from tests.world import CALLER, NUMBER, Ear, Script, ScriptedSession, World, server_for, speech_service

OTHER = "+15550100002"
HANGING = "import threading\nthreading.Event().wait()\n"
PLUGIN = "def version() -> int:\n    return {}\n"


def agent(word: str, number: str = NUMBER) -> str:
    return f'numbers: ["{number}"]\nprompt: You are {word}.\n'


def with_plugin(word: str) -> str:
    return agent(word) + "plugins: [plugins.test]\nfunctions: [version]\n"


@dataclass
class Watched:
    """A server that watches its files, and every loading that it took over."""

    root: Path
    world: World
    taken: list[Loading] = field(default_factory=list)
    failures: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, loading: Loading) -> None:
        self.taken.append(loading)
        self._changed.set()

    def fail(self) -> None:
        self.world.live.metrics.not_loaded()
        self.failures += 1
        self._changed.set()

    async def until_failed(self) -> None:
        while not self.failures:
            await self.until_read()

    async def until_watching(self) -> None:
        """Wait until the system tells of changes, by making some until two were told: one may have been found."""
        for number in itertools.count():
            (self.root / f"agents/.{number}").touch()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.until(lambda _: len(self.taken) > 1), 0.3)
                return

    async def until_read(self) -> None:
        """Wait for what comes next, a loading or a failure."""
        self._changed.clear()
        await self._changed.wait()

    async def until(self, condition: Callable[[Loading], bool]) -> Loading:
        """Wait for a loading."""
        while not self.taken or not condition(self.taken[-1]):
            await self.until_read()
        return self.taken[-1]

    async def until_said(self, word: str, name: str = "a") -> Loading:
        return await self.until(lambda loading: said(loading).get(name) == word)

    async def answered(self, number: str = NUMBER) -> bool:
        """Whether somebody answers a number that is called now."""
        account = self.world.account
        async with placed(account, number, CALLER, ear := Ear()) as caller:
            connected = asyncio.create_task(caller.connected.wait())
            refused = asyncio.create_task(ear.until(lambda e: bool(e.announcements)))
            await asyncio.wait([connected, refused], return_when=asyncio.FIRST_COMPLETED)
            for task in (connected, refused):
                task.cancel()
            return caller.connected.is_set()

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"{self.world.url}{path}")


def version(loading: Loading, name: str = "a") -> object:
    """What the agent's function returns."""
    return loading.dialplan.agents[name].functions["version"].runs.call()  # type: ignore[union-attr]


def said(loading: Loading) -> dict[str, str]:
    """The word in each agent's prompt."""
    return {
        name: agent.prompt.source.removeprefix("You are ").rstrip(".\n")
        for name, agent in loading.dialplan.agents.items()
    }


async def until_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """The operator is told in a thread, when callers hear it already."""
    while text not in caplog.text:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def silent(session: ScriptedSession) -> None:
    await session.open()


@asynccontextmanager
async def watched(
    root: Path, files: Mapping[str, str], script: Script = silent, *, watch: bool = True
) -> AsyncIterator[Watched]:
    loader = Loader(write(root, files), {})
    loading = loader.first()
    async with speech_service(script) as service, server_for(loading, service.url) as world:
        found = Watched(root, world)
        reload = Reload(root, loader, loading, [world.live.take, found.take], found.fail)
        async with reloading(reload, watch=watch):
            async with asyncio.timeout(30):
                yield found


async def test_a_file_dropped_in_is_answered_and_a_deleted_one_is_not_any_more(tmp_path: Path) -> None:
    async with watched(tmp_path, {"agents/a.yaml": agent("one")}) as server:
        assert not await server.answered(OTHER)

        write(tmp_path, {"agents/acme/b.yaml": agent("two", OTHER)})
        await server.until_said("two", "acme/b")
        assert await server.answered(OTHER)

        (tmp_path / "agents/acme/b.yaml").unlink()
        await server.until(lambda loading: list(said(loading)) == ["a"])
        assert not await server.answered(OTHER)
        assert await server.answered(NUMBER)


async def test_a_call_keeps_its_prompt_and_its_plugins_code_while_the_next_one_gets_the_new(tmp_path: Path) -> None:
    saved = asyncio.Event()
    results: asyncio.Queue[str] = asyncio.Queue()
    opened = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        opened.set()
        await saved.wait()
        await session.request("version")
        await results.put((await session.message("FunctionCallResponse"))["content"])

    files = {"agents/a.yaml": with_plugin("one"), "plugins/test.py": PLUGIN.format(1)}
    async with watched(tmp_path, files, script) as server:
        async with placed(server.world.account, NUMBER, CALLER, Ear()) as old:
            await opened.wait()
            write(tmp_path, {"plugins/test.py": PLUGIN.format(2), "agents/a.yaml": with_plugin("two")})
            await server.until_said("two")
            opened.clear()
            async with placed(server.world.account, NUMBER, CALLER, Ear()) as new:
                await opened.wait()
                saved.set()
                returned = [await results.get() for _ in range(2)]
                assert old.connected.is_set()
                assert new.connected.is_set()

    assert sorted(map(json.loads, returned)) == [1, 2]


async def test_a_call_goes_on_when_its_file_is_deleted(tmp_path: Path) -> None:
    async with watched(tmp_path, {"agents/a.yaml": agent("one"), "agents/b.yaml": agent("two", OTHER)}) as server:
        async with placed(server.world.account, NUMBER, CALLER, Ear()) as caller:
            await caller.connected.wait()
            (tmp_path / "agents/a.yaml").unlink()
            await server.until(lambda loading: list(said(loading)) == ["b"])

            assert caller.connected.is_set()
            assert len(server.world.live) == 1


async def test_a_broken_file_keeps_its_last_good_version_and_is_loud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with watched(tmp_path, {"agents/a.yaml": agent("one"), "agents/b.yaml": agent("two", OTHER)}) as server:
        assert 'dialplan_agent_broken{agent="a"} 0.0' in (await server.get("/metrics")).text

        write(tmp_path, {"agents/a.yaml": agent("three") + "voise: x\n"})
        await server.until(lambda loading: loading.set_aside == ("a",))

        assert await server.answered(NUMBER)
        assert said(server.taken[-1])["a"] == "one"
        metrics = (await server.get("/metrics")).text
        assert 'dialplan_agent_broken{agent="a"} 1.0' in metrics
        assert 'dialplan_agent_broken{agent="b"} 0.0' in metrics
        assert "dialplan_last_reload_successful 0.0" in metrics
        ready = await server.get("/readyz")
        assert (ready.status_code, ready.json()["broken"], ready.json()["agents"]) == (200, ["a"], 2)
        await until_logged(caplog, "its last good version keeps answering")
        assert 'agents/a.yaml:3:1  error E104: unknown key "voise"' in caplog.text

        write(tmp_path, {"agents/a.yaml": agent("four")})
        await server.until_said("four")
        assert "dialplan_last_reload_successful 1.0" in (await server.get("/metrics")).text
        assert (await server.get("/readyz")).json()["broken"] == []

        (tmp_path / "agents/b.yaml").unlink()
        await server.until(lambda loading: list(said(loading)) == ["a"])
        assert 'agent="b"' not in (await server.get("/metrics")).text


async def test_a_new_file_with_a_mistake_answers_nothing_and_hurts_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with watched(tmp_path, {"agents/a.yaml": agent("one")}) as server:
        write(tmp_path, {"agents/b.yaml": agent("two", NUMBER)})
        await server.until(lambda loading: loading.set_aside == ("b",))

        assert list(said(server.taken[-1])) == ["a"]
        await until_logged(caplog, "b is set aside until its file is corrected; it answers nothing")


async def test_an_editor_that_moves_the_file_away_before_it_writes_the_new_one_leaves_no_gap(tmp_path: Path) -> None:
    file = tmp_path / "agents/a.yaml"
    async with watched(tmp_path, {"agents/a.yaml": agent("one")}) as server:
        file.rename(file.with_name("a.yaml~"))
        await asyncio.sleep(0.2)  # Longer than the quiet that is waited for: what is tested is the gap itself.
        write(tmp_path, {"agents/a.yaml": agent("two")})
        await server.until_said("two")

    assert all("a" in said(loading) for loading in server.taken)


async def test_a_file_saved_by_renaming_and_one_that_is_written_in_halves_come_whole(tmp_path: Path) -> None:
    file = tmp_path / "agents/a.yaml"
    async with watched(tmp_path, {"agents/a.yaml": agent("one")}) as server:
        file.with_name(".a.swp").write_text(agent("two"))
        file.with_name(".a.swp").replace(file)
        await server.until_said("two")

        with file.open("w") as halves:
            halves.write(agent("three")[:20])
            halves.flush()
            await asyncio.sleep(0)
            halves.write(agent("three")[20:])
        await server.until_said("three")

    assert all(not loading.problems for loading in server.taken)


async def test_a_file_that_is_written_slowly_and_files_that_come_one_after_the_other_are_taken_once(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path, {"agents/a.yaml": agent("one")}) as server:
        with (tmp_path / "agents/a.yaml").open("w") as file:
            for character in agent("two"):
                file.write(character)
                file.flush()
                await asyncio.sleep(0.02)  # The pace of the writing.
        await server.until_said("two")
        assert len(server.taken) == 1

        for n in range(40):
            write(tmp_path, {f"agents/b{n}.yaml": agent("b", f"+155501001{n:02}")})
            await asyncio.sleep(0.02)  # The pace of the files.
        await server.until(lambda loading: len(said(loading)) == 41)
        assert len(server.taken) == 2


async def test_files_that_never_rest_are_taken_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialplan.server.reload.MOST_SECONDS", 0.5)

    async def write_on() -> None:
        for n in itertools.count():
            write(tmp_path, {"agents/log.txt": f"{n}"})
            await asyncio.sleep(0.05)  # Shorter than the quiet that is waited for.

    async with watched(tmp_path, {"agents/a.yaml": agent("one")}) as server:
        writing = asyncio.create_task(write_on())
        write(tmp_path, {"agents/a.yaml": agent("two")})
        await server.until_said("two")
        writing.cancel()


async def test_a_folder_swapped_by_a_link_is_never_seen_in_a_mixture(tmp_path: Path) -> None:
    """As Kubernetes swaps a ConfigMap, here some fifty times while it is read."""

    def version(word: str) -> dict[str, str]:
        names = {f"a{n}": f'numbers: ["+1555020{n:04}"]\nextends: _base\n' for n in range(30)}
        return {f"{name}.yaml": text + f"greeting: {word}\n" for name, text in names.items()} | {
            "_base.yaml": f"prompt: You are {word}.\n"
        }

    folder = tmp_path / "agents"
    for word in ("left", "right"):
        write(folder / f"..{word}", version(word))
    (folder / "..data").symlink_to("..left")
    for name in version("left"):
        (folder / name).symlink_to(f"..data/{name}")

    async with watched(tmp_path, {}) as server:
        for turn in range(51):
            (folder / "..next").symlink_to("..right" if turn % 2 == 0 else "..left")
            os.replace(folder / "..next", folder / "..data")
            await asyncio.sleep(0.01)  # The pace of the swaps, not a wait for something.
        await server.until_said("right", "a0")

    for loading in server.taken:
        greetings = {agent.greeting.source for agent in loading.dialplan.agents.values() if agent.greeting}
        assert len(greetings | set(said(loading).values())) == 1
        assert len(loading.dialplan.agents) == 30


async def test_a_storm_of_saves_ends_with_the_last_one_and_nobody_is_refused_meanwhile(tmp_path: Path) -> None:
    files = {"agents/a.yaml": with_plugin("s0"), "plugins/test.py": PLUGIN.format(0)}
    async with watched(tmp_path, files) as server:

        async def storm() -> None:
            for number in range(1, 201):
                write(tmp_path, {"agents/a.yaml": with_plugin(f"s{number}"), "plugins/test.py": PLUGIN.format(number)})
                await asyncio.sleep(0)

        async def calls() -> list[bool]:
            return [await server.answered() for _ in range(10)]

        _, answered = await asyncio.gather(storm(), calls())
        last = await server.until_said("s200")

    assert all(answered)
    assert version(last) == 200


async def test_a_folder_that_is_another_one_under_the_old_name_is_watched_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `ln -sfn releases/2 current` makes it: the folder that was watched is still there, and nobody's any more."""
    for release in ("1", "2"):
        write(tmp_path / "releases" / release, {"a.yaml": agent(f"r{release}")})
    (tmp_path / "agents").symlink_to("releases/1")

    async with watched(tmp_path, {}) as server:
        await server.until_watching()
        monkeypatch.setattr("dialplan.server.watching.LOOK_SECONDS", 600.0)  # For whoever watches the next folder.
        (tmp_path / "next").symlink_to("releases/2")
        os.replace(tmp_path / "next", tmp_path / "agents")
        await server.until_said("r2")

        write(tmp_path / "releases/2", {"a.yaml": agent("r2 saved")})
        await server.until_said("r2 saved")


async def test_a_change_is_live_long_before_anybody_would_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialplan.server.watching.LOOK_SECONDS", 600.0)
    async with watched(tmp_path, {"agents/a.yaml": agent("one")}) as server:
        await server.until_watching()
        write(tmp_path, {"agents/a.yaml": agent("two")})
        await server.until_said("two")


async def test_a_name_that_is_no_text_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with watched(tmp_path, {"agents/a.yaml": agent("one")}) as server:
        (tmp_path / os.fsdecode(b"agents/\xff.yaml")).write_text(agent("odd", OTHER))
        await server.until(lambda loading: len(said(loading)) == 2)
        write(tmp_path, {"agents/a.yaml": agent("two")})
        await server.until_said("two")
        assert await server.answered(OTHER)

        await until_logged(caplog, "the system does not tell")
    assert caplog.text.count("the system does not tell of changes (Unable to decode path") == 1


async def test_a_system_without_a_thread_to_spare_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name in ("reload", "watching"):
            raise RuntimeError("can't start new thread")
        start(thread)

    async with watched(tmp_path, {"agents/a.yaml": agent("one")}) as server:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        write(tmp_path, {"agents/a.yaml": agent("two")})
        await server.until_failed()
        assert await server.answered()

        monkeypatch.undo()
        await server.until_said("two")


async def test_a_folder_for_plugins_that_comes_later_is_watched_too(tmp_path: Path) -> None:
    async with watched(tmp_path, {"agents/a.yaml": agent("one")}) as server:
        write(tmp_path, {"plugins/test.py": PLUGIN.format(1), "agents/a.yaml": with_plugin("two")})
        await server.until_said("two")
        write(tmp_path, {"plugins/test.py": "def other() -> int:\n    return 1\n"})
        await server.until(lambda loading: loading.set_aside == ("a",))


async def test_a_prompt_in_a_folder_of_its_own_is_live_too(tmp_path: Path) -> None:
    own = f'numbers: ["{NUMBER}"]\nprompt: {{file: prompts/a.md}}\n'
    async with watched(tmp_path, {"agents/a.yaml": own, "prompts/a.md": "You are one."}) as server:
        write(tmp_path, {"prompts/a.md": "You are two."})
        await server.until_said("two")


async def test_a_hangup_signal_reads_the_files_again_though_they_are_not_watched(tmp_path: Path) -> None:
    async with watched(tmp_path, {"agents/a.yaml": agent("one")}, watch=False) as server:
        write(tmp_path, {"agents/a.yaml": agent("two")})
        os.kill(os.getpid(), signal.SIGHUP)
        await server.until_said("two")


async def test_files_that_are_not_to_be_watched_are_not(tmp_path: Path) -> None:
    async with watched(tmp_path, {"agents/a.yaml": agent("one")}, watch=False) as server:
        write(tmp_path, {"agents/a.yaml": agent("two")})
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(server.until_read(), 1.5)


async def test_folders_that_lead_to_each_other_hold_up_nobody(tmp_path: Path) -> None:
    for n in range(9):
        write(tmp_path / "agents" / f"d{n}", {"_x.yaml": ""})
        for other in range(9):
            (tmp_path / "agents" / f"d{n}" / f"l{other}").symlink_to(f"../d{other}")
    (tmp_path / "plugins").mkdir()
    async with asyncio.timeout(20):
        ringing = asyncio.create_task(watching(tmp_path, asyncio.Event().set))
        await asyncio.sleep(0.5)
        ringing.cancel()


async def test_a_plugin_that_hangs_while_it_is_imported_keeps_nobody_from_calling_or_the_server_from_ending(
    tmp_path: Path,
) -> None:
    async with watched(tmp_path, {"agents/a.yaml": with_plugin("one"), "plugins/test.py": PLUGIN.format(1)}) as server:
        write(tmp_path, {"plugins/test.py": HANGING})
        os.kill(os.getpid(), signal.SIGHUP)

        assert await server.answered()

    assert server.taken == []


async def test_a_plugin_that_hangs_is_left_behind_when_its_file_is_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dialplan.server.reload.LONG_SECONDS", 0.1)
    async with watched(tmp_path, {"agents/a.yaml": with_plugin("one"), "plugins/test.py": PLUGIN.format(1)}) as server:
        write(tmp_path, {"plugins/test.py": HANGING})
        await server.until_failed()
        assert "the files are still being read; does plugins.test wait?" in caplog.text
        assert "dialplan_last_reload_successful 0.0" in (await server.get("/metrics")).text

        write(tmp_path, {"plugins/test.py": PLUGIN.format(2), "agents/a.yaml": with_plugin("two")})
        await server.until_said("two")
        assert "dialplan_last_reload_successful 1.0" in (await server.get("/metrics")).text


async def test_a_plugin_that_takes_long_to_import_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dialplan.server.reload.LONG_SECONDS", 0.1)
    imports = tmp_path / "imports"
    waiting = (
        f"import os\nwith open({str(imports)!r}, 'a') as file:\n    file.write('.')\n"
        f"os.close(os.open({str(tmp_path / 'go')!r}, os.O_RDONLY))\n"
    )
    os.mkfifo(tmp_path / "go")
    async with watched(tmp_path, {"agents/a.yaml": with_plugin("one"), "plugins/test.py": PLUGIN.format(1)}) as server:
        write(tmp_path, {"plugins/test.py": waiting + PLUGIN.format(2)})
        await server.until_failed()

        os.close(await asyncio.to_thread(os.open, tmp_path / "go", os.O_WRONLY))
        await server.until(lambda loading: version(loading) == 2)

    assert imports.read_text() == "."


@pytest.mark.parametrize(
    "plugin",
    [
        "raise KeyboardInterrupt\n",
        "class Odd(Exception):\n    def __str__(self):\n        raise SystemExit\nraise Odd\n",
        "raise ModuleNotFoundError(name=5)\n",
    ],
)
async def test_whatever_a_plugin_raises_what_comes_next_is_taken(tmp_path: Path, plugin: str) -> None:
    async with watched(tmp_path, {"agents/a.yaml": with_plugin("one"), "plugins/test.py": PLUGIN.format(1)}) as server:
        write(tmp_path, {"plugins/test.py": plugin})
        await server.until_read()

        write(tmp_path, {"plugins/test.py": PLUGIN.format(2)})
        await server.until(lambda loading: version(loading) == 2)


async def test_a_fault_of_our_own_while_reading_leaves_everything_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Loader):
        def load(self, before: object = None) -> Loading:
            if faults:
                raise faults.pop()
            return super().load(before)  # type: ignore[arg-type]

    faults: list[Exception] = []
    loader = Faulty(write(tmp_path, {"agents/a.yaml": agent("one")}), {})
    reload = Reload(tmp_path, loader, loader.first())
    write(tmp_path, {"agents/a.yaml": agent("two")})
    faults.append(ZeroDivisionError("a bug"))

    await reload.once()
    assert said(reload.loading) == {"a": "one"}
    assert "ZeroDivisionError: a bug" in caplog.text

    await reload.once()
    assert said(reload.loading) == {"a": "two"}


async def test_calls_on_the_line_lose_no_frame_while_files_are_saved_all_the_time(tmp_path: Path) -> None:
    calls, frames = 5, 60
    words = [bytes([16 * call + 1 + n % 15 for n in range(frames) for _ in range(160)]) for call in range(calls)]
    sessions: list[ScriptedSession] = []
    heard = asyncio.Event()

    async def script(session: ScriptedSession) -> None:
        await session.open()
        sessions.append(session)
        while not any(word in session.heard for word in words):
            await session.hear(len(session.heard) + 1)
        if sum(any(word in session.heard for word in words) for session in sessions) == calls:
            heard.set()

    async def save(number: int) -> None:
        while not heard.is_set():
            number += 1
            write(tmp_path, {"plugins/test.py": PLUGIN.format(number), "agents/a.yaml": with_plugin(f"s{number}")})
            await asyncio.sleep(0.15)  # The pace of the saves: slow enough that each may be taken.

    files = {"agents/a.yaml": with_plugin("s0"), "plugins/test.py": PLUGIN.format(0)}
    async with watched(tmp_path, files, script) as server, AsyncExitStack() as stack:
        for word in words:
            caller = await stack.enter_async_context(placed(server.world.account, NUMBER, CALLER, Ear()))
            await caller.connected.wait()
            caller.speak(word)
        await save(0)

    assert server.taken
    assert sorted(next(n for n, word in enumerate(words) if word in s.heard) for s in sessions) == list(range(calls))
