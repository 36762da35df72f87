"""``realm init``: a project to start from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ..core.errors import Code, RealmError
from ..core.settings import Settings
from . import faults
from .home import HOME
from .terminal import terminal

EXAMPLE = Path(__file__).parent.parent / "examples" / "nas-photo-processing"
"""The example that a new project begins as: beside this room in a checkout and in an installed wheel."""

_MODELINE = "# yaml-language-server: $schema="

_README = """# {name}

A Mirror Realm project: `workflow.yaml` says what happens to a photo.

```
realm validate workflow.yaml                             # is the definition right?
realm run workflow.yaml --input file_path=sample.jpg     # one photo, here and now
realm register workflow.yaml && realm serve              # watch photos/raw: whatever lands there is processed
realm instances list                                     # what ran
```

State (journal, artifacts, archived photos, logs) lies in `{home}/`; `{home}/realm.toml` holds the settings.
Editors with the YAML language server complete and check `workflow.yaml` against
`{home}/workflow.schema.json`.
"""


def init(directory: Path = Path(), /, *, force: bool = False) -> int:
    """Write a project to start from: a definition, a sample photo, settings, a README.

    Parameters
    ----------
    directory
        Where; made when it does not exist.
    force
        Overwrite files that are there.
    """
    files = project_files(directory.absolute().name)
    folder = directory.absolute()
    if (taken := [name for name in files if (folder / name).exists()]) and not force:
        raise RealmError(
            Code.ALREADY_EXISTS,
            f"{directory} already has {', '.join(taken)}",
            hint="choose another folder, or --force to overwrite",
        )
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, path)
        else:
            path.write_text(content, encoding="utf-8")
    (folder / "photos" / "raw").mkdir(parents=True, exist_ok=True)
    out = terminal()
    out.say(f"wrote {', '.join(files)}")
    step = "" if folder == Path.cwd() else f"cd {directory} && "
    out.say(f"next: {step}realm run workflow.yaml --input file_path=sample.jpg")
    return faults.OK


def project_files(name: str) -> dict[str, str | Path]:
    """What a new project consists of: relative path → its text, or the file to copy."""
    from .catalogue import workflow_schema

    return {
        "workflow.yaml": _definition(),
        "sample.jpg": EXAMPLE / "sample.jpg",
        "README.md": _README.format(name=name, home=HOME),
        ".gitignore": f"{HOME}/*\n!{HOME}/realm.toml\n!{HOME}/workflow.schema.json\n",
        f"{HOME}/realm.toml": settings_template(),
        f"{HOME}/workflow.schema.json": json.dumps(workflow_schema(), ensure_ascii=False, indent=2) + "\n",
    }


def settings_template() -> str:
    """Every setting with what it means, commented out."""
    lines = ["# Mirror Realm's settings; an environment variable MIRROR_REALM_<NAME> overrides a line."]
    for name, field in Settings.model_fields.items():
        if name == "home":
            continue
        lines.append(f"\n# {field.description or name.replace('_', ' ').capitalize()}")
        default = field.get_default(call_default_factory=True)
        lines.append(f"# {name} = {_toml(default)}")
    return "\n".join(lines) + "\n"


def _definition() -> str:
    text = (EXAMPLE / "workflow.yaml").read_text(encoding="utf-8")
    first, _, rest = text.partition("\n")
    return f"{_MODELINE}{HOME}/workflow.schema.json\n{rest}" if first.startswith(_MODELINE) else text


def _toml(value: object) -> str:
    if value is None:
        return '""'
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False, default=str)
