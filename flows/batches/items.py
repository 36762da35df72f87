"""In the run: send items to workers in batches, and write to the journal what came of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...core.errors import ErrorRecord
from ...core.resources import Gpu, Resources
from ..media import Step
from .steps import Steps, Unfit, around, steps_of, watched
from .worker import SECONDS, Batch, Done, Item, Left

if TYPE_CHECKING:
    from ..constructs.site import Site
    from ..scope import Part

log = logging.getLogger("mirror_realm.run")


class Batches:
    """The way to workers for the items of one construct, whose part is ``steps``."""

    def __init__(self, site: Site, steps: Steps, resources: Resources, *, in_order: bool) -> None:
        self._site = site
        self._steps = steps
        self._nodes = {f"{site.handle.key}/{node.id}": node for node, _ in steps.nodes}
        self._resources = resources
        self.in_order = in_order
        self._sent = 0

    @classmethod
    def of(cls, site: Site, part: Part, *, in_order: bool) -> Batches | None:
        """The way for a part, if workers can go through it by themselves."""
        try:
            steps, resources = steps_of(part)
        except Unfit as because:
            log.info("%s goes item by item: %s", site.handle.label, because)
            return None
        return cls(site, steps, resources, in_order=in_order)

    @property
    def watched(self) -> bool:
        """Whether each node has to go through the run, for now."""
        return watched(self._site.handle.scope.run)

    @property
    def rooted(self) -> bool:
        """Whether some node gets what its item is given."""
        return self._steps.rooted

    async def run(self, items: Sequence[Item]) -> list[Done | Left]:
        """What became of the first items, or of all of them; the nodes of those that are done are in the journal.
        Nothing, where the batch came to nothing: then its items have to go in smaller ones, or in the run."""
        site, run = self._site, self._site.handle.scope.run
        await run.waits.gate()
        self._sent += 1
        call = Batch(
            node_type=site.call.node_type,
            node_id=site.handle.key,
            instance_id=site.call.instance_id,
            execution_key=f"{site.call.execution_key}#{items[0].index}",
            iteration=site.call.iteration,
            attempt=self._sent,
            timeout=SECONDS + sum(self._steps.timeouts()),
            roots=tuple(str(root) for root in run.env.roots),
            gpu_wanted=self._resources.gpu is not Gpu.NONE,
            max_payload_bytes=run.env.settings.max_payload_bytes,
            steps=self._steps,
            around=around(self._steps, site.handle.scope),
            prefix=f"{site.handle.key}/",
            reuse=run.env.settings.reuse,
            items=tuple(items),
            in_order=self.in_order,
        )
        with run.waits.working():
            outcome = await run.runner.run(
                call, self._resources, site.handle.node.priority, lambda event: None
            )
            if outcome.error is not None:
                error = ErrorRecord.from_dict(outcome.error)
                log.warning(
                    "%s: a batch of %d items is lost: %s", site.handle.label, len(items), error.message
                )
                return []
            results: list[Done | Left] = outcome.output
            await self._record([result for result in results if isinstance(result, Done)])
        return results

    async def _record(self, done: Sequence[Done]) -> None:
        """Write what came of items: their nodes, and what the media library is told of them."""
        scope = self._site.handle.scope
        items = [
            [Step.decided(self._nodes[row.node_id], row) for row in one.nodes if row.node_id in self._nodes]
            for one in done
        ]
        rows = [row for one in done for row in one.nodes]
        await scope.run.library.note_batch(scope, items, rows, failed=scope.failed is not None)
