"""The fault campaign: random definitions, random faults at random times, and what must hold afterwards.

``make chaos`` runs it (``python -m chaos``). Start reading at :mod:`.trial`; what is drawn is in :mod:`.definitions`,
what must come out in :mod:`.oracle`, what is broken in :mod:`.faults`, what is checked in :mod:`.invariants`. It uses
the product as people do: its commands in processes of their own, its journal, and a ledger that the nodes write.
"""
