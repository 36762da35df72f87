"""The REST gateway: the platform over HTTP, thin over what the other rooms do.

May import ``deployments`` and every room below it. Its routes come with the API issue; see
``docs/status.md``.
"""
