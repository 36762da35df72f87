"""What Prefect loads from us by the entry point ``prefect.collections``: the worker type and the blocks."""

from __future__ import annotations

from ..blocks.cluster import DaskCluster
from ..blocks.database import Database
from ..blocks.models import ModelRegistry
from ..blocks.notification import Notification
from ..blocks.storage import ObjectStorage
from .worker import WarmWorker

__all__ = ["DaskCluster", "Database", "ModelRegistry", "Notification", "ObjectStorage", "WarmWorker"]
