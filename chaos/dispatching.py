"""``python -m chaos.dispatching ADDRESS``: the product's dispatcher on a Dask scheduler, without Prefect.

What ``realm serve`` is without its server and its embedded cluster: with it, faults of the scheduler and of the network
to it can be had in seconds.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from mirror_realm.core.settings import settings
from mirror_realm.deployments import surroundings
from mirror_realm.deployments.carrying import kept_flow
from mirror_realm.deployments.dispatch import Dispatcher
from mirror_realm.deployments.reconciling import reconciler_of, reconciling
from mirror_realm.deployments.registration import registered
from mirror_realm.deployments.serve import only_one
from mirror_realm.deployments.surroundings import Surroundings
from mirror_realm.flows.engines import engine_choice
from mirror_realm.flows.environment import Environment, default_roots, use
from mirror_realm.flows.journal import Journal
from mirror_realm.flows.runners import DaskRunner
from mirror_realm.store import Store


async def main(address: str) -> None:
    """Dispatch until SIGTERM."""
    configured = settings()
    engine_choice.set("local")
    with only_one(configured), Store.open(configured.database) as store:
        journal = Journal(store)
        runner = await DaskRunner.connect(address)
        environment = Environment(
            journal,
            runner,
            configured,
            default_roots(configured),
            resumable=True,
            patience=surroundings.PATIENCE,
        )
        around = Surroundings(environment, store, "local")
        await journal.presence.announce(environment.owner)
        with use(environment):
            dispatcher = Dispatcher(
                around,
                lambda name, version: registered(name, store, configured, version).flow,
                carry=lambda instance: kept_flow(instance, store),
            )
            reconciler = reconciler_of(around, dispatcher, configured)
            tasks = (
                asyncio.create_task(dispatcher.run()),
                asyncio.create_task(reconciling(reconciler, configured.reconcile_interval, scheduled=False)),
            )
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, lambda: [task.cancel() for task in tasks])
            done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in rest:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for task in done:
                if not task.cancelled() and (error := task.exception()) is not None:
                    raise error
        await journal.presence.leave()
        await runner.close()
        journal.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
