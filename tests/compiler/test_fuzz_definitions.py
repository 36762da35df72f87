"""Thousands of damaged definitions, in every dialect: never an exception, never a hang, and every error has a place.

:mod:`.mutations` damages texts, trees, keys and expressions, and nests nodes; :mod:`.extremes` has what is large, deep
or circular.
"""

import random
import time
from pathlib import Path

import pytest

from mirror_realm.compiler import analyze, emit
from mirror_realm.compiler.source import load

from .extremes import EXTREMES
from .mutations import mutation

FOLDER = Path(__file__).parent / "fixtures"
VALID = sorted(
    path for path in FOLDER.rglob("*") if path.parent.name in ("valid", "proofs") and path.is_file()
)
CORPUS = [(path.read_text(encoding="utf-8"), load(path).document.tree) for path in VALID]
LONGEST = 10.0
"""Seconds for one definition: a bound on hanging, with room for a busy machine."""
SEEDS, SLICES = 600, 6


def survives(text, name):
    began = time.monotonic()
    analysis = analyze(name, text=text)
    for finding in analysis.diagnostics:
        assert finding.line is not None
        assert finding.column is not None
        assert finding.severity == "info" or finding.hint, finding
    for form in ("text", "json", "sarif", "github"):
        analysis.render(form)
    if analysis.ok:
        compile(emit(analysis), name, "exec")
    assert time.monotonic() - began < LONGEST


@pytest.mark.parametrize("first", range(SLICES))
def test_damaged_definitions_are_diagnosed(first):
    for seed in range(first, SEEDS, SLICES):
        chance = random.Random(seed)
        text, tree = chance.choice(CORPUS)
        damaged, suffix = mutation(text, tree, chance.choice(CORPUS)[1], chance)
        try:
            survives(damaged, f"w{suffix}")
        except Exception as error:  # to name the input
            raise AssertionError(f"seed {seed}:\n{damaged}") from error


@pytest.mark.parametrize("name", EXTREMES)
def test_what_is_large_deep_or_circular_is_diagnosed(name):
    text = EXTREMES[name]()
    survives(text, "w.json" if text[:1] == "{" else "w.yaml")


def test_any_bytes_are_diagnosed():
    chance = random.Random(0)
    for _ in range(300):
        raw = bytes(chance.randrange(256) for _ in range(chance.randint(0, 60)))
        for name in ("w.yaml", "w.json", None):
            assert all(d.line is not None for d in analyze(name, text=raw).diagnostics)
