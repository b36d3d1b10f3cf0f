"""What a Django project must let go of before worker processes are forked from it."""

import gc


def prepare_fork() -> None:
    """Closes what two processes must not share, and keeps the heap shared as long as can be.

    An inherited database or cache connection would be one socket with two owners. Objects that
    exist by now are moved out of the collector's sight, because a collection in a worker would
    write to every one of them and so copy its page.
    """
    from django.core.cache import close_caches
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.close()
        # A pool (PostgreSQL, since Django 5.1) has threads, which do not survive a fork.
        close_pool = getattr(connection, "close_pool", None)
        if close_pool is not None:
            close_pool()
    close_caches()
    gc.collect()
    gc.freeze()
