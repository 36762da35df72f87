"""``python -m mirror_realm.cli`` is ``realm``."""

from . import main

main()
