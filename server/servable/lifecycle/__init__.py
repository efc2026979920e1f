"""A version's life: aspired, loading, available, unloading, ended.

It must not know what a version is made of: a loader protocol is all it sees of one.
"""
