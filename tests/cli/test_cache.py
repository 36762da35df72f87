"""``realm cache``: what nodes would use again is forgotten."""

import json

from mirror_realm.cli.app import run

DEFINITION = """
name: cached
nodes:
  - {node_id: once, type: control/set, cache: {ttl: 1h}, parameters: {values: {v: 1}}}
"""


def test_cached_results_are_forgotten_by_workflow_and_node_type(tmp_path, capsys):
    file = tmp_path / "cached.yaml"
    file.write_text(DEFINITION)

    def cached() -> bool:
        assert run(["run", str(file), "--engine", "local", "--json"]) == 0
        return json.loads(capsys.readouterr().out)["nodes"]["once"]["cached"]

    def cleared(*arguments: str) -> int:
        assert run(["cache", "clear", "--json", *arguments]) == 0
        return json.loads(capsys.readouterr().out)["cleared"]

    assert [cached(), cached()] == [False, True]
    assert cleared("--workflow", "other") == 0
    assert cleared("--node-type", "control/set") == 1
    assert cached() is False
    assert run(["cache", "clear"]) == 0
    assert capsys.readouterr().out == "1 cached result forgotten\n"
