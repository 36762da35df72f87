"""One module per backend. Each offers ``capabilities`` (data) and ``open(request)``; :mod:`..enhancer`
lists them."""
