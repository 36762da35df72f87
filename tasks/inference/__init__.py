"""The inference core: enhancement, embeddings, search, clusters and faces, importable with numpy and torch alone.

Nothing here imports Prefect, Dask, Pydantic or the store, so that it runs, and is measured, on a bare GPU
machine; the node types of :mod:`mirror_realm.tasks.ai` wrap it. Start reading at :mod:`.enhancer` (what a
backend is, and the one dispatch), then :mod:`.tiles` (how a large picture is cut and joined without seams),
:mod:`.models` (what is known about each network), :mod:`.weights` (how a file becomes a network) and the
two :mod:`.backends`. What a picture means begins at :mod:`.embedder`: :mod:`.tagger`, :mod:`.vectors` (search),
:mod:`.clusters` and :mod:`.identity` (whose a face is) work on its vectors. :mod:`.catalogue` lists every model.
"""
