"""The shared vocabulary: errors, statuses, durations, resources, ids, settings, file references.

Imports nothing of ours and nothing heavy, so that every other room may import it freely.
Start reading at :mod:`.errors`.
"""
