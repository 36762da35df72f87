"""Proofs about definitions, with three verdicts and never two: proved, refuted (with data for which it fails), unknown
(with why).

:mod:`.logic` decides whether conditions can hold together; :mod:`.branches` asks it about a graph's branches. What is
reported, and how strongly, is in ``docs/branches.md``.
"""
