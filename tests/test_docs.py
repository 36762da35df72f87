"""The documents are true: links lead somewhere, commands exist, generated pages are current, shown output is real."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from mirror_realm.cli import reference
from mirror_realm.cli.app import COMMANDS, build, load_commands

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "nas-photo-processing"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of one language."""
    return [body for kind, body in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_that_are_shown_exist(page):
    text = page.read_text(encoding="utf-8")
    targets = set(
        re.findall(r"^([a-z][\w-]*)(?:-%)?:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    shown = set(re.findall(r"(?:^|`)make ([a-z]+)(?:-[a-z]+)?", text, re.MULTILINE))
    assert shown <= targets
    app = load_commands(build())
    known = {path[0] for name, _, _ in COMMANDS for path in reference.command_paths(app, name)}
    planned = {"test", "analyze"} if page.name == "status.md" else set()  # named there as not there yet
    used = set(re.findall(r"(?:^|`|/|&& )realm ([a-z][\w-]*)", text, re.MULTILINE))
    assert used - planned <= known


def test_every_command_is_in_the_reference():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    app = load_commands(build())
    for name, _, _ in COMMANDS:
        for path in reference.command_paths(app, name):
            assert f"### `realm {' '.join(path)}`" in page


@pytest.mark.parametrize(
    "name", ["cli.md", "nodes.md", "schema/test.schema.json", "schema/workflow.schema.json"]
)
def test_generated_pages_are_current(name):
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == reference.pages()[name], "run `make docs`"


def test_both_readmes_say_the_same():
    english, chinese = READMES
    for language in ("yaml", "text", "python"):
        assert blocks(english, language) == blocks(chinese, language)
    shell = ["\n".join(blocks(page, "")) for page in READMES]
    commands = [re.findall(r"^(?:make|\.venv|cd|\.\.)\S* \S+", text, re.MULTILINE) for text in shell]
    assert commands[0] == commands[1]
    assert commands[0]
    rows = [
        [re.findall(r"[\d.–]+", row) for row in re.findall(r"^\|.*\|$", prose(p), re.MULTILINE)]
        for p in READMES
    ]
    assert rows[0] == rows[1]


def test_the_readme_shows_the_source_that_is_emitted():
    from mirror_realm.compiler import analyze, emit

    emitted = emit(analyze(EXAMPLE / "workflow.yaml").raise_for_errors())
    (shown,) = blocks(ROOT / "README.md", "python")
    assert shown.strip() in emitted


def test_the_readme_shows_a_finding_as_it_is(tmp_path, monkeypatch, capsys):
    from mirror_realm.cli.app import run

    text = (EXAMPLE / "workflow.yaml").read_text(encoding="utf-8")
    wrong = text.replace("auto_rotate", "auto_rotat").replace("target: archive-01", "target: archive")
    (tmp_path / "workflow.yaml").write_text(wrong, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run(["validate", "workflow.yaml"]) == 1
    (shown,) = blocks(ROOT / "README.md", "text")
    printed = capsys.readouterr()
    assert (printed.out + printed.err).strip() == shown.strip()


def test_the_readmes_definition_is_the_examples():
    from ruamel.yaml import YAML

    load = YAML(typ="safe", pure=True).load
    (shown,) = blocks(ROOT / "README.md", "yaml")
    example = load((EXAMPLE / "workflow.yaml").read_text(encoding="utf-8"))
    nodes = {node["node_id"]: node for node in example["nodes"]}
    for node in load(shown)["nodes"]:
        assert node["type"] == nodes[node["node_id"]]["type"]
        assert node["parameters"].items() <= nodes[node["node_id"]]["parameters"].items()
    assert load(shown)["edges"] == example["edges"]


def test_the_makefiles_help_lists_its_targets():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("env", "demo", "test", "lint", "bench", "docs", "clean"):
        assert f"make {target}" in done.stdout
