"""Ids of rows: UUID version 7 as text, which sort by the time they were made."""

from __future__ import annotations

import secrets
import time
import uuid


def new_id(nanoseconds: int | None = None) -> str:
    """A new id: 48 bits of milliseconds since 1970, 12 bits of the part of a millisecond, 62 random bits.

    RFC 9562 section 5.7, and 6.2 method 3 for the 12 bits. `nanoseconds` since 1970 are now by default.

    >>> new_id(1_645_557_742_000_000_000)[:19]
    '017f22e2-79b0-7000-'
    """
    milliseconds, rest = divmod(time.time_ns() if nanoseconds is None else nanoseconds, 1_000_000)
    part = rest * 4096 // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | part << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
