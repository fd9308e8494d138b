"""What a newcomer gets wrong: each is one problem, with the caret under the word and the correction beside it."""

from pathlib import Path

import pytest

from tests.config.files import PLAIN, codes, loaded, under

CURLY = "“aura-2-thalia-en”"


@pytest.mark.parametrize(
    ("text", "code", "word", "help_text"),
    [
        # Keys in the wrong place, or as other systems call them.
        ("model: nova-3", "E104", "model", "model belongs under listen: or think: or voice:"),
        ("temperature: 0.3", "E104", "temperature", "temperature belongs under think:"),
        ("minutes: 3", "E104", "minutes", "minutes belongs under limits:"),
        ("keyterms: [a]", "E104", "keyterms", "keyterms belongs under listen:"),
        ("api_key: abc", "E104", "api_key", "api_key belongs under deepgram:"),
        ("timeout: 3", "E104", "timeout", "timeout belongs under functions:"),
        (
            "listen: {model: nova-3, language: en}",
            "E104",
            "language",
            "language belongs at the top of the file, not in here",
        ),
        ("number: ['*']", "E104", "number", 'did you mean "numbers"?'),
        ("function: [end_call]", "E104", "function", 'did you mean "functions"?'),
        ("greetings: Hello", "E104", "greetings", 'did you mean "greeting"?'),
        ("Greeting: Hello", "E104", "Greeting", 'did you mean "greeting"?'),
        ("“greeting”: Hello", "E104", "“greeting”", 'did you mean "greeting"?'),
        ("first_message: Hello", "E104", "first_message", 'did you mean "greeting"?'),
        ("llm: gpt-4o", "E104", "llm", 'did you mean "think"?'),
        ("tools: []", "E104", "tools", 'did you mean "functions"?'),
        ("name: bakery", "E104", "name", "an agent is named by its file; remove it"),
        ("base: &b 1", "E104", "base", "keys of your own begin with x-"),
        (
            "limits: {\u00a0minutes: 3}",
            "E104",
            "\u00a0minutes",
            "an invisible character stands beside it; type it again",
        ),
        ("limits: {minutes:3}", "E104", "minutes:3", "a space is missing behind the colon: minutes: 3"),
        ("think: {provder: open_ai, model: gpt-4o}", "E104", "provder", 'did you mean "provider"?'),
        (
            "think: {provider: open_ai, model: gpt-4o, temperature: 0,3}",
            "E104",
            "3",
            "a decimal number is written with a point",
        ),
        ("functions: [{name: end_call, url: x}]", "E104", "url", "url belongs under http: or endpoint:"),
        ("functions:\n  - get_price:\n      description: x", "E104", "get_price", "write - name: get_price"),
        ("rehearsals: [{name: x, turns: [{user: hi, agent: x}]}]", "E104", "user", 'did you mean "caller"?'),
        # Values of the wrong kind.
        ("functions: end_call", "E103", "end_call", 'write it as a list: ["end_call"]'),
        ("functions:\n  name: end_call", "E103", "name: end_call", "begin each item with a dash: - name: …"),
        ("think: gpt-4o", "E103", "gpt-4o", "write {provider: open_ai, model: gpt-4o}"),
        ("think: claude-sonnet-5", "E103", "claude-sonnet-5", "write {provider: anthropic, model: claude-sonnet-5}"),
        ("think: open_ai", "E103", "open_ai", "write {provider: open_ai, model: gpt-4o-mini}"),
        ("limits: 30", "E103", "30", "as in {calls: 10, minutes: 30, silence: 20}"),
        ("limits:", "E103", "", "as in {calls: 10, minutes: 30, silence: 20}"),
        ("limits: {minutes: 30m}", "E103", "30m", "write 30"),
        ("limits: {minutes: '0,5 h'}", "E103", "'0,5 h'", "write 0.5"),
        ("limits: {minutes: half an hour}", "E103", "half an hour", ""),
        ("notice: [a, b]", "E103", "[a, b]", "write one text; several lines begin with | and stand below it"),
        ("notice: 0123", "E103", "0123", 'put quotes around it: "0123"'),
        (
            "rehearsals: [{name: x, turns: [{caller: Bye., function: end_call}]}]",
            "E103",
            "end_call",
            "write {end_call: {}}",
        ),
        ("deepgram: {api_key: 1234567890}", "E103", "1234567890", 'write "${NAME}", and NAME into .env'),
        # Texts of the wrong form.
        ("plugins: [plugins\\bakery.py]", "E107", "plugins\\bakery.py", "write plugins.bakery"),
        ("plugins: [./plugins/bakery.py]", "E107", "./plugins/bakery.py", "write plugins.bakery"),
        ("functions: [“end_call”]", "E107", "“end_call”", "write end_call"),
        ("functions:\n  - name end_call", "E107", "name end_call", "write name: end_call"),
        (
            "functions: [opening_hours repair_ready, end_call]",
            "E107",
            "opening_hours repair_ready",
            "a comma is missing",
        ),
        ("functions: [opening hours]", "E107", "opening hours", "write opening_hours; or a comma"),
        ("plugins: [plugins.a plugins.b]", "E107", "plugins.a plugins.b", "a comma is missing between plugins.a and"),
        ("functions:\n  end_call\n  f", "E103", "end_call", "begin each item with a dash and a space: - end_call"),
        ("functions:\n  -end_call", "E103", "-end_call", "begin each item with a dash and a space: - end_call"),
        ("functions:\n  -end_call\n  - f", "E103", "-end_call", "begin each item with a dash and a space: - end_call"),
        ("functions: end_call f", "E103", "end_call f", 'write it as a list: ["end_call", "f"]'),
        ("functions: end_call, f", "E103", "end_call, f", 'write it as a list: ["end_call", "f"]'),
        ("functions:\n  - end_call\n  -f_g", "E002", "-f_g", "write: - f_g"),
        ("functions:\n-end_call", "E002", "-end_call", "write: - end_call"),
        ("functions:\n  - end_call\n  f", "E002", "f", "write: - f"),
        ("functions: [end call]", "E107", "end call", "write end_call"),
        ("functions:\n- end_call\n - f", "E107", "end_call", "the dashes of one list stand below each other"),
        ("streams: [twilio/x]", "E107", "twilio/x", "write /twilio/x"),
        (
            "streams: ['wss://a.example.com/twilio/x/?to=1']",
            "E107",
            "'wss://a.example.com/twilio/x/?to=1'",
            "write /twilio/x",
        ),
        ("extends: base.yaml", "E107", "base.yaml", "write _base"),
        ("language: English", "E107", "English", "write en"),
        ("language: en_GB", "E107", "en_GB", "write en-GB"),
        ("timezone: PST", "E404", "PST", 'did you mean "America/Los_Angeles"?'),
        ("timezone: New York", "E404", "New York", 'did you mean "America/New_York"?'),
        ("timezone: berlin", "E404", "berlin", 'did you mean "Europe/Berlin"?'),
        ("timezone: America/NewYork", "E404", "America/NewYork", 'did you mean "America/New_York"?'),
        ("timezone: Europa/Berlin", "E404", "Europa/Berlin", 'did you mean "Europe/Berlin"?'),
        ("timezone: utc", "E404", "utc", 'did you mean "UTC"?'),
        ("timezone: GMT+1", "E404", "GMT+1", "write a city, as in Europe/Berlin"),
        ("timezone: UTC+01:00", "E404", "UTC+01:00", "write a city, as in Europe/Berlin"),
        ("timezone: '-5'", "E404", "'-5'", "write a city, as in Europe/Berlin"),
        ("timezone: Etc", "E404", "Etc", "write the nearest large city, as in Europe/Berlin"),
        ("timezone: Etc/GMT+99", "E404", "Etc/GMT+99", "write a city, as in Europe/Berlin"),
        ("timezone: Europe/Munich", "E404", "Europe/Munich", "write the nearest large city, as in Europe/Berlin"),
        ("timezone: Germany", "E404", "Germany", "write the nearest large city, as in Europe/Berlin"),
        (f"voice: {CURLY}", "W401", CURLY, 'did you mean "aura-2-thalia-en"?'),
        ("voice: {provider: deepgram, voice: aura-2-luna-en}", "E405", "voice", "write model: aura-2-luna-en"),
        ("listen:\n  model:nova-3", "W401", "model:nova-3", "write model: nova-3"),
        # Names in templates.
        ("greeting: '{{ from }}'", "E202", "from", "write call.from"),
        ("greeting: '{{ caller }}'", "E202", "caller", "write call.from"),
        ("greeting: '{{ caler_name }}'", "E202", "caler_name", 'did you mean "call.caller_name"?'),
        ("greeting: '{{ today }}'", "E202", "today", "write now, as in"),
        ("greeting: '{{ variables.a }}'\nvariables: {a: b}", "E202", "variables", "write the variable's name alone"),
        ("greeting: ${a}\nvariables: {a: b}", "E204", "${a}", "write {{ a }}"),
        ("greeting: {file: 'prompts\\x.md'}", "E205", "'prompts\\x.md'", "write it with forward slashes: prompts/x.md"),
        ("greeting: {file: 'C:\\x.md'}", "E205", "'C:\\x.md'", "write where it lies in the project"),
        ("greeting: {file: _b.yaml}", "E205", "_b.yaml", 'did you mean "_base.yaml"?'),
        # What keeps the file from being YAML.
        ("voice:aura-2-thalia-en\nlisten: nova-3", "E002", "voice", "write: voice: aura-2-thalia-en"),
        ("voice = aura-2-thalia-en", "E002", "voice", "write: voice: aura-2-thalia-en"),
        ("voice： aura-2-thalia-en", "E002", "voice", "write: voice: aura-2-thalia-en"),
        ("voice:\u00a0aura-2-thalia-en", "E002", "voice", "write: voice: aura-2-thalia-en"),
        ("listen: nova-3, smart_format: true", "E002", ":", "or each key in a line of its own"),
        ("greeting: “Our hours: nine”", "E002", ":", 'write: greeting: "Our hours: nine"'),
        ("think: {provider: open_ai model: gpt-4o}", "E002", "model", "as in {model: nova-3"),
        ("limits:\n\tminutes: 3", "E002", "\t", "replace the tab by spaces"),
    ],
)
def test_a_plausible_mistake_is_one_problem_with_its_correction(
    tmp_path: Path, text: str, code: str, word: str, help_text: str
) -> None:
    loading = loaded(tmp_path, {"agents/a.yaml": PLAIN + text + "\n", "agents/_base.yaml": ""})

    assert (codes(loading), under(loading)) == ([code], [word])
    assert help_text in loading.problems[0].help


INDENT = "begin it with 2 spaces, as every line of that text"
BAR = "write prompt: | and the text in the lines below, each indented by 2 spaces"


@pytest.mark.parametrize(
    ("text", "code", "line", "help_text"),
    [
        ("prompt: |\n  You are kind.\nBe brief.\n  Bye.", "E002", 3, INDENT),
        ("prompt: |\n  You are kind.\n\nBe brief.\nvoice: aura-2-thalia-en", "E002", 4, INDENT),
        ("prompt: >-  # Long.\nYou are kind.\nBe brief.", "E002", 2, INDENT),
        ("prompt: |\n  You are kind.\n Be brief.\nvoice: x", "E002", 3, INDENT),
        ("prompt: |\n    You are kind.\n  Be brief.", "E002", 3, "begin it with 4 spaces"),
        ("prompt: |\n  You are kind.\n\n- be brief\n- be kind", "E002", 4, INDENT),
        ("prompt: |\n  Rules: many.\nThat is it.", "E002", 3, INDENT),
        ("prompt: |\n  You are kind.\nRules: be brief.\n  Bye.", "E104", 3, "indent it as that"),
        ("prompt: You are kind.\nBe brief.\nvoice: aura-2-thalia-en", "E002", 2, BAR),
        ("prompt: You are kind.\n  Rules: be brief.", "E002", 2, BAR),
        ("prompt:\nYou are kind.", "E002", 2, BAR),
        ("prompt:\n  You are kind.\n  Rules: be brief.", "E002", 3, BAR),
        ("prompt:\n  You are kind: yes.\n  Be brief: yes.", "E104", 2, "a text of several lines begins with |"),
        ("greeting: Good morning to you.\n  prompt: x", "E002", 2, "lines of one level begin in one column; or"),
        # What is no line of a text is none of it.
        ("prompt: |\n  You are kind.\nvoice aura-2-thalia-en\nlanguage: en", "E002", 3, 'a key is followed by ": "'),
        ("prompt: |\n  You are kind.\nvoice: x\n  language: en", "E002", 4, "lines of one level begin in one column"),
        ("functions:\n  - end_call\nprompt is a word here\n", "E002", 3, 'a key is followed by ": "'),
    ],
)
def test_a_line_that_stands_outside_of_its_text_is_told_to_be_indented(
    tmp_path: Path, text: str, code: str, line: int, help_text: str
) -> None:
    (problem,) = loaded(tmp_path, {"agents/a.yaml": f'numbers: ["+15550100001"]\n{text}\n'}).problems

    assert (problem.code, problem.place.line) == (code, line + 1)
    assert help_text in problem.help


@pytest.mark.parametrize(
    ("written", "help_text"),
    [
        ("+15550100001", 'write it as a list: ["+15550100001"]'),
        ("15550100001", 'write it as a list: ["+15550100001"]'),
        ("[15550100001]", 'write: numbers: ["+15550100001"]'),
        ("[0555010001]", 'write it in quotes, in full, with a plus and the country: "+44…"'),
        ('["+1 (555) 010-0001"]', 'write "+15550100001"'),
        ('["0049 30 1234567"]', 'write "+49301234567"'),
        ('["15550100001"]', 'write "+15550100001"'),
        ('["+49 (0)30 / 12-34-56"]', 'write "+4930123456"'),
        ('["0049 (0)30 12 34 56"]', 'write "+4930123456"'),
        ('["+49 (030) 12 34 56"]', 'write "+4930123456"'),
        ('["49 (0) 30 – 12 34 56 7"]', 'write "+49301234567"'),
        ('["+39 (0)6 1234567"]', 'write "+39061234567"'),
        ('["\u202a+49 30 123456\u202c"]', 'write "+4930123456"'),
        ('["tel:+15550100001"]', 'write "+15550100001"'),
        ("[“+15550100001”]", 'write "+15550100001"'),
        ('["555 0100"]', "a phone number is written with a plus and digits only"),
    ],
)
def test_a_number_is_shown_as_it_must_be(tmp_path: Path, written: str, help_text: str) -> None:
    (problem,) = loaded(tmp_path, {"agents/a.yaml": f"prompt: x\nnumbers: {written}\n"}).problems

    assert problem.help.startswith(help_text)


@pytest.mark.parametrize(
    ("text", "word", "used"),
    [
        (
            "x-a: &a {provider: openai, model: x}\nthink:\n  - *a\n  - *a",
            "openai",
            "(used by *a in line 5 and *a in line 6)",
        ),
        (
            "x-a: &a\n  timezone: Nowhere/At_All\nvoice: aura-2-thalia-en\n<<: *a",
            "Nowhere/At_All",
            "(used by *a in line 6)",
        ),
        ("x-a: &a Nowhere\ntimezone: *a", "Nowhere", "(used by *a in line 4)"),
    ],
)
def test_what_is_wrong_behind_an_anchor_names_the_lines_that_use_it(
    tmp_path: Path, text: str, word: str, used: str
) -> None:
    loading = loaded(tmp_path, {"agents/a.yaml": PLAIN + text + "\n"})

    assert under(loading) == [word]
    assert loading.problems[0].help.endswith(used)


def test_a_mistake_outside_of_the_anchor_names_no_line(tmp_path: Path) -> None:
    text = "x-a: &a {model: nova-3}\nlisten: *a\nvoise: x\n"

    (problem,) = loaded(tmp_path, {"agents/a.yaml": PLAIN + text}).problems

    assert problem.help == 'did you mean "voice"?'
