"""Batches: nodes that a worker runs within one task, one after another and for many items, without asking the run.

A body that only starts nodes is data (:mod:`.steps`), so that a worker can go through it by itself (:mod:`.worker`),
by the very functions that decide in the run. What it did comes back as outcomes. An item whose nodes all completed or
were skipped is written to the journal with its batch (:mod:`.items`). Any other one, be it that a node failed or that
an expression did, goes the usual way in the run, node by node: there each attempt that the worker made is taken for
what it is, and retries, fallbacks and error routes follow. So there is one set of rules, and batches are only faster.
"""
