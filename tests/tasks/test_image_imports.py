"""The image families declare themselves without loading a library; their code needs no framework."""

from __future__ import annotations

import subprocess
import sys

HEAVY = [
    "PIL",
    "cv2",
    "numpy",
    "imagehash",
    "scipy",
    "pillow_heif",
    "torch",
    "prefect",
    "dask",
    "sqlalchemy",
    "boto3",
]

ALONE = """
import sys, types

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("prefect", "dask", "distributed", "pydantic", "sqlalchemy"):
            raise ImportError("not here: " + name)

sys.meta_path.insert(0, Refuse())
import mirror_realm.core

# The room's own __init__ brings the SDK, and with it Pydantic: enter its folder without it.
room = types.ModuleType("mirror_realm.tasks")
room.__path__ = [mirror_realm.core.__path__[0].removesuffix("core") + "tasks"]
sys.modules["mirror_realm.tasks"] = room

from pathlib import Path
from PIL import Image
from mirror_realm.tasks.imaging import attributes, faces, hashing, measures, palette
from mirror_realm.tasks.imaging import contact_sheet, description, duplicates, fingerprint, thumbnails, watermark
from mirror_realm.tasks.imaging.pipeline import Options, prepare
from mirror_realm.tasks.imaging.viewing import view

folder = Path(FOLDER)
Image.new("RGB", (90, 60), "teal").save(folder / "a.png")
made = prepare(folder / "a.png", folder, Options(format="jpeg"), max_pixels=10**6)
seen = view(made.path, side=64, max_pixels=10**6)
print(made.width, seen.image.size, hashing.perceptual_hash(seen.image) != "", measures.measure(seen.image).score > 0)
"""


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_declaring_is_light():
    code = "import sys, mirror_realm.tasks.image, mirror_realm.tasks.ai.analyze\n"
    assert python(code + f"print([m for m in {HEAVY} if m in sys.modules])") == "[]\n"


def test_the_library_part_needs_no_framework(tmp_path):
    assert python(ALONE.replace("FOLDER", repr(str(tmp_path)))) == "90 (64, 43) True True\n"
