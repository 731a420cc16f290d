"""C2PA: the mark once more, signed so that a change of the file shows; by the package c2pa-python (an extra).

A signature needs a certificate, which is the user's: without one nothing is signed, and files carry the plain
mark of `provenance` alone. Neither signing nor reading touches the network.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from segma.errors import InputError, MissingExtraError
from segma.media.files import explained_errors
from segma.media.provenance import SOURCE_TYPES, Mark, comment_of, mark_of_comment, mark_of_words, one_line

_CERTIFICATES, _KEY, _ALGORITHM = "SEGMA_C2PA_CERTIFICATES", "SEGMA_C2PA_KEY", "SEGMA_C2PA_ALGORITHM"
_ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
_ACTIONS = ("c2pa.actions", "c2pa.actions.v2")
_KINDS = (  # what the package signs, of what segma writes
    (".png", "image/png"),
    (".jpg", "image/jpeg"),
    (".jpeg", "image/jpeg"),
    (".webp", "image/webp"),
    (".tif", "image/tiff"),
    (".tiff", "image/tiff"),
    (".gif", "image/gif"),
    (".mp4", "video/mp4"),
    (".mov", "video/quicktime"),
)
_SETTINGS = (  # as JSON; thumbnails are left out: files stay small, and nothing is shown twice
    '{"verify": {"remote_manifest_fetch": false, "ocsp_fetch": false, "verify_after_sign": false},'
    ' "builder": {"thumbnail": {"enabled": false}}}'
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Signing:
    """Whose signature: a PEM file with the chain of certificates, the signer's own first, and its key.

    The key is PKCS 8 without a password; `algorithm` is C2PA's name of what it signs with.
    """

    certificates: Path
    key: Path
    algorithm: str = "es256"


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """What a signed file says: its mark, the signer's name, and the package's verdict.

    `state` is "Trusted" (a signer on a list of trust, of which there is none by default), "Valid" (unchanged
    since it was signed, by whomever) or "Invalid".
    """

    mark: Mark
    signer: str
    state: str


def signing_of(environment: Mapping[str, str] | None = None) -> Signing | None:
    """Whose signature the environment asks for; None where it asks for none.

    SEGMA_C2PA_CERTIFICATES and SEGMA_C2PA_KEY name the files, SEGMA_C2PA_ALGORITHM the algorithm (es256).
    Raises InputError for half of it or a missing file, MissingExtraError without the package.
    """
    variables = os.environ if environment is None else environment
    named = {name: Path(variables[name]) for name in (_CERTIFICATES, _KEY) if variables.get(name)}
    if not named:
        return None
    if len(named) == 1:
        raise InputError(
            "input.value", f"Only {next(iter(named))} is set.", f"Set {_CERTIFICATES} and {_KEY}, or neither."
        )
    for name, path in named.items():
        if not path.is_file():
            raise InputError("input.not_found", f"{name} names {path}, which is no file.")
    algorithm = variables.get(_ALGORITHM, _ALGORITHMS[0]).lower()
    if algorithm not in _ALGORITHMS:
        raise InputError("input.value", f'{_ALGORITHM} is "{algorithm}".', f"Use {', '.join(_ALGORITHMS)}.")
    if find_spec("c2pa") is None:
        raise MissingExtraError("Signing with C2PA", "provenance")
    return Signing(certificates=named[_CERTIFICATES], key=named[_KEY], algorithm=algorithm)


def sign(path: str | Path, mark: Mark, signing: Signing | None) -> None:
    """Sign a file that carries the mark, or all PNG pictures of a folder, in place; None signs nothing.

    A kind that cannot be signed stays as it is, with a warning in the log. Of an error the file stays as it
    was. Raises InputError where the certificate or key is refused, StoreError.
    """
    if signing is None:
        return
    path = Path(path)
    kinds = dict(_KINDS)
    for each in sorted(path.glob("*.png")) if path.is_dir() else [path]:
        if each.suffix.lower() not in kinds:
            _log.warning("%s: not signed, C2PA's package cannot sign this kind of file", each.name)
            continue
        _sign_file(each, kinds[each.suffix.lower()], mark, signing)


def read_credentials(path: str | Path) -> Credentials | None:
    """What a signed file says of its making; None where it is not signed, or the package is missing."""
    path = Path(path)
    if find_spec("c2pa") is None:
        return None
    c2pa: Any = import_module("c2pa")  # an extra, which has no types here
    try:
        with path.open("rb") as stream:
            reader = c2pa.Reader.try_create(stream, context=_context(c2pa))
            if reader is None:
                return None
            with reader:
                return _credentials(_table(reader.get_active_manifest()), str(reader.get_validation_state()))
    except c2pa.C2paError as error:
        if "NotSupported" not in type(error).__name__:
            _log.warning("%s: its C2PA data are not read (%s)", path.name, " ".join(str(error).split()))
        return None


def manifest_of(mark: Mark) -> dict[str, Any]:  # JSON
    """The manifest that is signed: one action, with the words of the plain mark.

    It is always "created": C2PA asks of an edit for the original, whose picture may be what was cut away.
    """
    program = {"name": mark.tool, "version": mark.version}
    action = {
        "action": "c2pa.created",
        "digitalSourceType": SOURCE_TYPES[mark.action],
        "softwareAgent": program,
        "description": comment_of(mark),
    }
    return {
        "claim_generator_info": [program],
        "assertions": [{"label": _ACTIONS[1], "data": {"actions": [action]}}],
    }


def _sign_file(path: Path, kind: str, mark: Mark, signing: Signing) -> None:
    """Write the signed file beside the other, then put it in its place."""
    c2pa: Any = import_module("c2pa")  # an extra, which has no types here
    part = path.with_name(f".{path.name[:40]}.signed.part")
    with explained_errors(path):
        try:
            info = c2pa.C2paSignerInfo(
                alg=signing.algorithm,
                sign_cert=signing.certificates.read_bytes(),
                private_key=signing.key.read_bytes(),
                ta_url=None,
            )
            builder = c2pa.Builder(json.dumps(manifest_of(mark)), context=_context(c2pa))
            with (
                c2pa.Signer.from_info(info) as signer,
                builder,
                path.open("rb") as source,
                part.open("w+b") as target,
            ):
                builder.sign(signer, kind, source, target)
            part.replace(path)
        except c2pa.C2paError as error:
            reason = " ".join(str(error).split())
            raise InputError(
                "input.value",
                f"{path.name} carries its mark, but could not be signed ({reason}).",
                "Certificate chain, key and algorithm must fit each other and C2PA's rules.",
            ) from error
        finally:
            with suppress(OSError):
                part.unlink()


def _context(c2pa: Any) -> Any:  # the package, without types
    """The package's context, with our settings."""
    return c2pa.Context(c2pa.Settings.from_json(_SETTINGS))


def _credentials(manifest: dict[str, Any], state: str) -> Credentials | None:
    """What a manifest says, if it is of a generated or edited file."""
    signature = _table(manifest.get("signature_info"))
    signer = str(signature.get("common_name") or signature.get("issuer") or "unknown")
    makers = _list(manifest.get("claim_generator_info"))
    for action in _actions(manifest):
        agent = action.get("softwareAgent") or (makers[0] if makers else "")
        program = _table(agent) or {"name": agent}
        words = " ".join(str(program.get(each) or "") for each in ("name", "version"))
        mark = mark_of_comment(str(action.get("description", "")))
        mark = mark or mark_of_words(words, str(action.get("digitalSourceType", "")))
        if mark is not None:
            return Credentials(mark=mark, signer=one_line(signer), state=state)
    return None


def _actions(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The actions of a manifest, whatever else a stranger put there."""
    for assertion in map(_table, _list(manifest.get("assertions"))):
        if assertion.get("label") in _ACTIONS:
            yield from map(_table, _list(_table(assertion.get("data")).get("actions")))


def _table(value: Any) -> dict[str, Any]:  # JSON of a stranger
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:  # JSON of a stranger
    return cast("list[Any]", value) if isinstance(value, list) else []
