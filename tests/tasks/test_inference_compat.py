"""torchvision beside any build of torch, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_torchvision_works_natively_or_by_the_module_and_once_is_enough():
    out = python(
        "from mirror_realm.tasks.inference.compat import ensure_torchvision\n"
        "first = ensure_torchvision()\n"
        "assert ensure_torchvision() is first\n"
        "import torch, torchvision\n"
        "from torchvision.transforms.functional import normalize\n"
        "from torchvision.ops import nms\n"
        "boxes = torch.tensor([[0., 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]])\n"
        "scores = torch.tensor([.5, .9, .1])\n"
        "print(nms(boxes, scores, .5).tolist(), nms(boxes, scores, .95).tolist())\n"
        "print(nms(boxes[:0], boxes[:0, 0], .5).tolist())\n"
        "import spandrel; print(len(list(spandrel.MAIN_REGISTRY.architectures())) > 20)\n"
    )
    assert out.split("\n")[:3] == ["[1, 2] [1, 0, 2]", "[]", "True"]


def test_a_failed_import_before_ours_does_no_harm():
    python(
        "try:\n"
        "    import torchvision\n"
        "except RuntimeError: pass\n"
        "from mirror_realm.tasks.inference.compat import require_spandrel\n"
        "require_spandrel().ModelLoader()\n"
    )


@pytest.mark.parametrize("missing", ["torch", "torchvision", "spandrel"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(missing):
    out = python(
        f"import sys; sys.modules[{missing!r}] = None\n"  # what an import of an absent package meets
        "from mirror_realm.core.errors import RealmError\n"
        "from mirror_realm.tasks.inference.compat import require_spandrel\n"
        "try:\n"
        "    require_spandrel()\n"
        "except RealmError as error: print(error.code, '|', error.record.message, '|', error.hint)\n"
    )
    assert out.startswith("DEPENDENCY_FAILURE")
    assert missing in out
    assert "pip install 'mirror-realm[ai]'" in out


def test_the_core_runs_on_numpy_and_torch_alone():
    """As on a bare GPU machine: no Pydantic, Prefect, Dask or SQLAlchemy, and no package around it."""
    out = python(
        "import sys\n"
        "engines = 'pydantic prefect dask distributed sqlalchemy boto3 jmespath ruamel httpx'\n"
        "libraries = 'open_clip faiss facexlib PIL cv2'\n"
        "for name in (engines + ' ' + libraries).split():\n"
        "    sys.modules[name] = None\n"
        "sys.path.insert(0, 'benchmarks')\n"
        "from bare import inference_core\n"
        "inference_core()\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from mirror_realm.tasks.inference import enhancer, models, networks, tiles, weights\n"
        "from mirror_realm.tasks.inference.backends import classical, torch_sr\n"
        "from mirror_realm.tasks.inference import catalogue, clusters, embedder, identity, kept, retinaface\n"
        "from mirror_realm.tasks.inference import kept_models, memory_budget, tagger, vectors\n"
        "from mirror_realm.tasks.inference import face_embedder, face_parser, face_restorer, mtcnn, pyramid\n"
        "assert memory_budget.limits() == memory_budget.Limits()\n"
        "assert memory_budget.budget('cpu') >= memory_budget.LEAST\n"
        "request = enhancer.Request(models.model_named('realesrgan-x4plus'), Path('/nowhere'), scale=2)\n"
        "image = np.zeros((5, 7, 3), np.uint8)\n"
        "del sys.modules['cv2']  # What resamples classically, once it is asked to.\n"
        "print(enhancer.enhance(image, request, fallbacks=('classical',)).pixels.shape)\n"
    )
    assert out.strip() == "(10, 14, 3)"
