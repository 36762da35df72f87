"""Real CLIP models for tests, tiny and with random weights, in a models folder as the hub lays them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from mirror_realm.tasks.inference.embedder import require_open_clip

# These networks are small: on a busy machine, threads would spend their time waiting for one another.
torch.set_num_threads(1)

DIMENSION = 16
SIDE = 32


def make(folder: Path, name: str = "tiny", *, seed: int = 7, **preprocess: Any) -> Path:
    """Put a model into ``folder/name``; its weights file. ``preprocess`` goes into its configuration."""
    home = folder / name
    home.mkdir(parents=True, exist_ok=True)
    config = {
        "model_cfg": {
            "embed_dim": DIMENSION,
            "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
            "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
        },
        "preprocess_cfg": preprocess,
    }
    (home / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.manual_seed(seed)
    model = require_open_clip().create_model(f"local-dir:{home}", load_weights=False)
    weights = home / "open_clip_model.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, weights)
    return weights
