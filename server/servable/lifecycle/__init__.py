"""A version's life: aspired, loading, available, unloading, ended.

It must not know what a version is made of: a loader and the protocol `Servable` are all that it has of one.
"""
