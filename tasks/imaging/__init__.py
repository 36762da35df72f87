"""Image code on Pillow, NumPy and OpenCV, with nothing of Prefect, Dask, Pydantic or the store in it.

Node types wrap it; it runs alone. A picture is decoded once (:mod:`.decode`), changed as a *raster*
(:mod:`.raster`: a Pillow image, or a NumPy array where channels have 16 bits), and written with its metadata
(:mod:`.encode`). Start reading at :mod:`.pipeline`, which puts these together; :mod:`.measures`,
:mod:`.palette`, :mod:`.hashing` and :mod:`.faces` look at a picture and say what is in it.

Errors are :class:`~mirror_realm.core.errors.RealmError`. Imports of this package itself are light.
"""
