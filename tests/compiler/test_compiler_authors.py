"""docs/compiler-authors.md is done to the letter on a copy of the sources: one file and one line each."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import mirror_realm.core

ROOT = Path(mirror_realm.core.__file__).parents[1]
PAGE = (Path(__file__).parents[2] / "docs" / "compiler-authors.md").read_text(encoding="utf-8")
ROOMS = ("compiler", "core", "tasks", "blocks", "store")


def test_what_the_page_says_works(tmp_path):
    package = tmp_path / "mirror_realm"
    for room in ROOMS:
        shutil.copytree(ROOT / room, package / room, ignore=shutil.ignore_patterns("__pycache__"))
    files = re.findall(r"`(compiler/\S+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL)
    lines = re.findall(
        r'^The line, in `\w+` of `(\S+)`(?:, before `("\w+",)`.*?)?: `("\w+",)`$', PAGE, re.MULTILINE
    )
    assert len(files) == len(lines) == 3
    for name, text in files:
        assert not (package / name).exists()
        (package / name).write_text(text, encoding="utf-8")
    for name, before, line in lines:
        registry = package / name
        text = registry.read_text(encoding="utf-8")
        before = before or '"node_ids",'
        assert text.count(f"    {before}\n") == 1
        registry.write_text(text.replace(f"    {before}\n", f"    {line}\n    {before}\n"), encoding="utf-8")
    definition = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1]
    expected = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)[1]
    (tmp_path / "workflow.yaml").write_text(definition, encoding="utf-8")
    (tmp_path / "right.yaml").write_text(definition.replace("stoer", "end-01"), encoding="utf-8")
    program = (
        "import sys; sys.path.insert(0, '.')\n"
        "import mirror_realm.core, mirror_realm.compiler as c\n"
        "assert c.__file__.startswith(sys.argv[1]), c.__file__\n"
        "for d in c.analyze('workflow.yaml').diagnostics: print(str(d).split(' (')[0], d.title, sep='|')\n"
        "print(*(f'{e.source} {e.target}' for e in c.analyze('right.yaml').graph.edges), sep=';')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *told, edges = done.stdout.splitlines()
    assert [line.partition("|")[0] for line in told] == expected.splitlines()
    assert told[-1].endswith("|A node with a very long id")
    long_one = "a-name-that-is-much-too-long-for-a-picture-of-it"
    assert edges == f"read shrink-it;shrink-it end-01;{long_one} end-01"
