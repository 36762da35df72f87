"""`realm test`: cases run through the real compiler and runtime; what fails says what, where, and how it is instead."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mirror_realm.cli.app import run
from mirror_realm.core.settings import settings
from mirror_realm.store import Store

EXAMPLES = Path(__file__).parents[2] / "examples"

DEFINITION = """\
name: shop
variables: {limit: 10}
input: {type: object, required: [n], properties: {n: {type: integer}}}
nodes:
  - node_id: pay
    type: http/request
    parameters: {url: 'https://pay.example/{{ input.n }}', method: POST, body: {amount: "{{ input.n }}"}}
    retry: {max_attempts: 3, initial: 60s}
  - {node_id: rest, type: control/delay, depends_on: pay, parameters: {duration: 3d}}
  - node_id: each
    type: control/foreach
    depends_on: rest
    parameters: {items: [1, 2]}
    body:
      nodes: [{node_id: pack, type: control/set, parameters: {values: {n: "{{ item * vars.limit }}"}}}]
  - node_id: ask
    type: control/human-task
    depends_on: each
    when: input.n > 5
    parameters: {title: big, assignees: [ann]}
output: {packed: "{{ nodes.each.map(one, one.pack.n) }}", code: "{{ nodes.pay.status_code }}"}
"""


@pytest.fixture
def shop(tmp_path, monkeypatch, capsys):
    """Write a test file beside the definition, run it, and give the report and the exit code."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.yaml").write_text(DEFINITION, encoding="utf-8")
    monkeypatch.chdir(folder)

    def tested(text: str, *options: str):
        (folder / "shop.test.yaml").write_text(text, encoding="utf-8")
        code = run(["test", *(options or ("shop.yaml", "--format", "json"))])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if not options else printed.out + printed.err

    return tested


PAID = "mocks: {pay: {output: {status_code: 200}}}\n"


def test_cases_that_hold(shop):
    code, report = shop(
        PAID
        + """
tests:
  - name: packed and paid
    input: {n: 2}
    expect:
      output: {packed: [10, 20], code: 200}
      ran: [pay, rest, each/pack]
      skipped: [ask]
      order: [pay, rest, each, each/pack]
      nodes:
        pay: {status: completed, attempts: 1, parameters: {url: 'https://pay.example/2', body: {amount: 2}}}
        each/pack[1]: {output: {n: 20}}
      that: ["size(output.packed) == 2", "nodes['each/pack[0]'].n < vars.limit + 1"]
  - name: with another variable
    input: {n: 2}
    variables: {limit: 3}
    expect: {output: {packed: [3, 6]}}
  - name: the third attempt is the last
    input: {n: 1}
    mocks: {pay: [{error: UNAVAILABLE}, {error: UNAVAILABLE}, {output: {status_code: "{{ 200 + call.attempt }}"}}]}
    expect: {nodes: {pay: {attempts: 3}}, output: {code: 203}}
  - name: it stays away
    input: {n: 1}
    mocks: {pay: {error: {code: UNAVAILABLE, message: closed today}}}
    expect:
      error: {code: UNAVAILABLE, message: closed, node: pay}
      nodes: {pay: {status: failed, attempts: 3, error: UNAVAILABLE}}
      not_run: [each]
  - name: a person is stood in for, and one round
    input: {n: 6}
    mocks:
      ask: {output: {decision: approved}}
      each/pack[1]: {output: {n: 7}}
    expect: {output: {packed: [10, 7]}, ran: [ask]}
  - name: an input that is refused
    input: {}
    expect: {error: INVALID_ARGUMENT}
  - name: slower than it may be
    input: {n: 1}
    mocks: {pay: {output: {}, delay: 10h}}
    expect: {error: {code: NODE_EXECUTION_TIMEOUT}}
  - {name: not now, skip: the shop is closed}
"""
    )
    (file,) = report["files"]
    assert {case["name"]: case["failures"] for case in file["cases"] if case["failures"]} == {}
    assert (code, report["passed"], report["skipped"], report["failed"]) == (0, 7, 1, 0)
    assert file["cases"][-1]["reason"] == "the shop is closed"


NOT_AS_EXPECTED = [
    ("{status: failed}", "the instance", "failed", "completed"),
    ("{error: ABORTED}", "the instance", "failed", "completed"),
    ("{output: {code: 201}}", "output.code", "201", "200"),
    ("{output: {nothing: 1}}", "output.nothing", "1", "nothing"),
    ("{output: {packed: [10]}}", "output.packed", "1 items: [10]", "2 items: [10, 20]"),
    ("{output: {packed: [10, true]}}", "output.packed[1]", "true", "20"),
    ("{nodes: {pay: skipped}}", "pay", "skipped", "completed"),
    ("{nodes: {pay: {attempts: 2}}}", "attempts of pay", "2", "1"),
    ("{nodes: {pay: {parameters: {method: GET}}}}", "pay.parameters.method", '"GET"', '"POST"'),
    ("{ran: [ask]}", "ask", "it runs", "skipped (its guard does not hold: input.n > 5)"),
    ("{failed: [pay]}", "pay", "failed", "completed"),
    ("{not_run: [pay]}", "pay", "it does not run", "completed"),
    ("{order: [each, pay]}", "the order", "each, pay", "pay, each"),
    ("{that: [output.code > 300]}", "output.code > 300", "it is true", "it is false; output.code is 200"),
    ("{that: [output.none]}", "output.none", "it is true", "none"),
]


def test_what_is_not_as_expected_is_told_with_its_place(shop):
    cases = [
        f"  - {{name: {n}, input: {{n: 2}}, expect: {one[0]}}}\n" for n, one in enumerate(NOT_AS_EXPECTED)
    ]
    code, report = shop(f"{PAID}tests:\n{''.join(cases).replace('name: ', 'name: case ')}")
    assert code == 1
    found = report["files"][0]["cases"]
    assert [case["status"] for case in found] == ["failed"] * len(NOT_AS_EXPECTED)
    for line, (case, (expect, what, expected, actual)) in enumerate(
        zip(found, NOT_AS_EXPECTED, strict=True), 3
    ):
        failure = case["failures"][0]
        assert (failure["what"], failure["expected"]) == (what, expected), expect
        assert actual in failure["actual"], expect
        assert failure["place"].startswith(f"shop.test.yaml:{line}:"), expect


@pytest.mark.parametrize(
    ("mocks", "n", "words"), [("", 1, "calls a service"), (PAID, 6, "waits for somebody")]
)
def test_what_would_touch_the_world_must_be_mocked(shop, mocks, n, words):
    code, report = shop(mocks + f"tests: [{{name: one, input: {{n: {n}}}, expect: {{status: failed}}}}]\n")
    assert code == 1
    (failure,) = report["files"][0]["cases"][0]["failures"]
    assert words in failure["actual"]
    assert "real" in failure["expected"]


def test_a_node_runs_for_real_when_the_case_says_so_and_leaves_nothing_behind(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "photo.txt").write_text("words", encoding="utf-8")
    (folder / "workflow.yaml").write_text(
        "name: keep\nnodes:\n  - {node_id: read, type: data/file-read, parameters: {path: photo.txt, format: text}}\n"
        "  - {node_id: write, type: data/file-write, depends_on: read, parameters: {path: out.json}}\n",
        encoding="utf-8",
    )
    (folder / "workflow.test.yaml").write_text(
        "tests:\n  - {name: mocked, mocks: {write: {output: {path: x}}}}\n"
        "  - {name: real, mocks: {write: real}}\n  - {name: neither}\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    assert run(["test", "store", "--format", "json"]) == 1
    cases = json.loads(capsys.readouterr().out)["files"][0]["cases"]
    assert [case["status"] for case in cases] == ["passed", "passed", "failed"], cases
    assert (folder / "out.json").is_file(), "the real node wrote"
    assert "changes something outside" in cases[2]["failures"][0]["actual"]
    with Store.open(settings().database) as store:
        assert store.instances.list() == [], "cases have homes of their own"


def test_the_report_is_read_by_people_and_by_ci(shop, tmp_path):
    text = PAID + (
        "tests:\n  - {name: right, input: {n: 1}}\n"
        "  - {name: wrong, input: {n: 1}, expect: {output: {code: 1}}}\n  - {name: later, skip: soon}\n"
    )
    code, said = shop(text, "--format", "junit", "-o", "report.xml")
    assert code == 1
    for line in ("✓ right", "✗ wrong", "↷ later  soon", "shop.test.yaml:4:", "expected  1", "actual    200"):
        assert line in said
    assert "1 passed, 1 failed, 1 skipped in" in said
    root = ElementTree.parse("report.xml").getroot()
    assert dict(root.attrib) | {"time": ""} == {
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
        "time": "",
    }
    failed = root.find(".//testcase[@name='wrong']")
    assert failed is not None
    assert (failed.get("file"), failed.get("line")) == ("shop.test.yaml", "4")
    assert "expected  1" in failed.findtext("failure", "")
    assert root.find(".//testcase[@name='later']/skipped").get("message") == "soon"


def test_cases_are_chosen_by_name_and_the_first_failure_can_be_the_last(shop):
    text = PAID + (
        "tests:\n  - {name: apple, input: {n: 1}}\n  - {name: 苹果 pear, input: {n: 1}, expect: {status: failed}}\n"
        "  - {name: plum, input: {n: 1}}\n"
    )
    assert shop(text, ".", "-k", "APPLE")[0] == 0
    code, said = shop(text, ".", "-k", "not pear")
    assert (code, said.count("✓")) == (0, 2)
    code, said = shop(text, "shop.test.yaml", "-x")
    assert code == 1
    assert "苹果 pear" in said
    assert "plum" not in said
    code, said = shop(text, ".", "-k", "melon")
    assert code == 1
    assert "no case has 'melon' in its name" in said


def test_a_wrong_test_file_fails_and_is_shown_at_its_place(shop):
    code, said = shop("tests:\n  - {name: one, mocks: {pya: {output: {}}}}\n", ".")
    assert code == 1
    assert "shop.test.yaml:2:25: error MR201" in said
    assert "did you mean 'pay'?" in said
    assert "1 test file is wrong" in said
    assert run(["test", "--format", "junit", "-o", "report.xml"]) == 1
    assert ElementTree.parse("report.xml").getroot().get("errors") == "1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "there is no file nowhere"),
        (["shop.yaml"], "has no test file"),
        (["."], "no test file in"),
    ],
)
def test_where_there_is_nothing_to_run(tmp_path, monkeypatch, capsys, arguments, words):
    (tmp_path / "shop.yaml").write_text(DEFINITION, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run(["test", *arguments]) == 1
    assert words in capsys.readouterr().err


def test_the_examples_cases_hold_and_no_engine_is_loaded():
    code = (
        "import sys; from mirror_realm.cli.app import run; "
        "code = run(['test', 'copyright-gate', 'media-saga', 'nas-photo-processing']); "
        "assert not {'prefect', 'distributed'} & set(sys.modules); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=EXAMPLES, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 passed in" in done.stdout
