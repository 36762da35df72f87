"""The guide to debugging and testing is true: its definition, commands and test file are run."""

import re
from pathlib import Path

from mirror_realm.cli.app import run
from mirror_realm.core.settings import settings
from mirror_realm.store import Store

PAGE = (Path(__file__).parents[2] / "docs" / "debugging.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_commands_and_the_cases_of_the_guide(tmp_path, monkeypatch, capsys):
    definition, cases = blocks("yaml")
    (tmp_path / "order.yaml").write_text(definition, encoding="utf-8")
    (tmp_path / "order.test.yaml").write_text(cases, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run(["validate", "--strict", "order.yaml"]) == 0
    capsys.readouterr()

    # The tests, as shown but for the times.
    assert run(["test"]) == 0
    shown, failed = blocks("text")
    printed = re.sub(r"  \d[\w.]*$| in \d[\w.]*$", "", capsys.readouterr().out, flags=re.MULTILINE)
    assert printed == shown
    wrong = cases.replace("gift: ''", "gift: chocolate", 1)
    (tmp_path / "order.test.yaml").write_text(wrong, encoding="utf-8")
    assert run(["test", "-k", "parcel"]) == 1
    printed = re.sub(r"  \d[\w.]*$", "", capsys.readouterr().out, flags=re.MULTILINE)
    assert failed in printed

    # The commands; nothing here answers at the page's address.
    (tmp_path / "order.yaml").write_text(
        re.sub(
            r"type: http/request\n.*\n", "type: control/set\n    parameters: {values: {n: 1}}\n", definition
        ),
        encoding="utf-8",
    )
    said = []
    for command in blocks("console")[0].splitlines():
        words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", command)][1:]
        with Store.open(settings().database) as store:
            newest = [instance.id for instance in store.instances.list(limit=1)]
        assert run([newest[0] if word == "ID" else word for word in words]) == 0, command
        said.append(capsys.readouterr().out)
    assert "stands before each" in said[0]
    assert "stands before gift" in said[1]
    assert "vars.limit = 100" in said[2]
    assert said[3].strip() == "-20"
    assert "limit was 100, is 200" in said[4]
    assert "completed" in said[5]
    assert "vars.limit was 100, is 200" in said[6]
    assert "skipped: its guard does not hold" in said[7]
