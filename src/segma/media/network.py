"""A picture from an address, only where the caller allowed it."""

from __future__ import annotations

from segma.errors import InputError

MAX_BYTES = 256 * 1024**2
"""Larger downloads are refused."""

_TIMEOUT_SECONDS = 30.0


def fetch(address: str, *, allowed: bool, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes at an http or https address.

    Raises InputError `input.network` where the network is not allowed or the address does not answer,
    and `input.too_large` above `max_bytes`.
    """
    if not allowed:
        raise InputError(
            "input.network",
            f"{address} is an address, and nothing said that the network may be used.",
            "Pass allow_network=True, or download the file first.",
        )
    import httpx

    if not address.lower().startswith(("http://", "https://")):
        raise InputError("input.network", f"{address}: only http and https addresses can be read.")
    try:
        with httpx.stream("GET", address, follow_redirects=True, timeout=_TIMEOUT_SECONDS) as response:
            response.raise_for_status()
            parts: list[bytes] = []
            total = 0
            for part in response.iter_bytes():
                parts.append(part)
                total += len(part)
                if total > max_bytes:
                    raise InputError(
                        "input.too_large", f"{address}: more than {max_bytes:,} bytes.", "Download it first."
                    )
            return b"".join(parts)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError("input.network", f"{address}: no answer that can be used ({reason}).") from error
