"""C2PA: what is signed is read back by the package itself; skipped without the extra `provenance`."""

from __future__ import annotations

import datetime
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segma.errors import InputError, MissingExtraError
from segma.media import credentials
from segma.media.credentials import Signing, manifest_of, read_credentials, sign, signing_of
from segma.media.image import read_image, write_image
from segma.media.provenance import SOURCE_TYPES, Mark
from segma.media.provenance_read import find_mark, read_mark
from segma.media.video_write import Timing, VideoWriter

MARK = Mark(action="edited", model="tiny ü", description="about; it")
needs_package = pytest.mark.skipif(find_spec("c2pa") is None, reason="c2pa-python is not installed")


def picture() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (24, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    """The chain of certificates of a made-up authority, and a signer's key."""
    curves = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec", reason="comes with c2pa")
    forms = import_module("cryptography.hazmat.primitives.serialization")
    root_key, key = (curves.generate_private_key(curves.SECP256R1()) for _ in range(2))
    root = certificate("root", root_key, "root", root_key)
    leaf = certificate("signer", key, "root", root_key)
    folder, pem = tmp_path_factory.mktemp("keys"), forms.Encoding.PEM
    (folder / "chain.pem").write_bytes(leaf.public_bytes(pem) + root.public_bytes(pem))
    private = key.private_bytes(pem, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    (folder / "key.pem").write_bytes(private)
    return Signing(certificates=folder / "chain.pem", key=folder / "key.pem")


def certificate(name: str, key: Any, issuer: str, issuer_key: Any) -> Any:
    """A certificate as C2PA wants it: what an issuer named after itself gives is an authority."""
    x509 = import_module("cryptography.x509")
    hashes = import_module("cryptography.hazmat.primitives.hashes")
    now, is_root = datetime.datetime.now(datetime.UTC), name == issuer
    kinds = (x509.oid.NameOID.ORGANIZATION_NAME, x509.oid.NameOID.COMMON_NAME)

    def of(person: str) -> Any:
        texts = zip(kinds, ("test", person), strict=True)
        return x509.Name([x509.NameAttribute(kind, text) for kind, text in texts])

    no = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    no = dict.fromkeys((*no, "encipher_only", "decipher_only"), False)
    usage = x509.KeyUsage(digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **no)
    parts: list[tuple[Any, bool]] = [
        (x509.BasicConstraints(ca=is_root, path_length=None), True),
        (usage, True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False),
    ]
    if not is_root:
        parts.append((x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.EMAIL_PROTECTION]), False))
    builder = x509.CertificateBuilder(of(issuer), of(name), key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=30))
    for part, critical in parts:
        builder = builder.add_extension(part, critical=critical)
    return builder.sign(issuer_key, hashes.SHA256())


@needs_package
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_a_signed_picture_says_what_made_it_and_whether_it_changed(
    suffix: str, signing: Signing, tmp_path: Path
) -> None:
    path = write_image(picture(), tmp_path / f"a{suffix}", mark=MARK)
    before = read_image(path)
    assert read_credentials(path) is None
    sign(path, MARK, signing)
    assert np.array_equal(read_image(path), before)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    found = find_mark(path)
    assert found is not None and found.mark == MARK
    assert found.stored == 'C2PA, signed by "signer", unchanged since, nobody vouches for the signer'
    data = bytearray(path.read_bytes())
    data[-20] ^= 1  # of the pixels, or of the table behind them
    path.write_bytes(data)
    changed = read_credentials(path)
    assert changed is None or changed.state == "Invalid"


@needs_package
def test_videos_and_folders_are_signed_and_webm_is_not(
    signing: Signing, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for kind, name in [("h264", "a.mp4"), ("prores4444", "a.mov"), ("webm-alpha", "a.webm"), ("png", "f")]:
        path = tmp_path / name
        with VideoWriter(path, (48, 64), kind=kind, timing=Timing.of_rate(25), mark=MARK) as writer:
            for index in range(2):
                writer.write(np.full((48, 64, 3), 80 * index, np.uint8), index / 25)
        sign(path, MARK, signing)
        found = find_mark(path / "00001.png" if kind == "png" else path)
        assert found is not None and found.mark == MARK
        assert found.stored.startswith("comment" if name == "a.webm" else "C2PA")
    assert "a.webm: not signed" in caplog.text


@needs_package
def test_a_key_that_does_not_fit_leaves_the_plain_mark(signing: Signing, tmp_path: Path) -> None:
    path = write_image(picture(), tmp_path / "a.png", mark=MARK)
    before = path.read_bytes()
    wrong = Signing(certificates=signing.certificates, key=signing.certificates)
    with pytest.raises(InputError, match="could not be signed"):
        sign(path, MARK, wrong)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]


@needs_package
def test_reading_asks_no_server(tmp_path: Path) -> None:
    """A file may say that its manifest lies at an address; the package would fetch it."""
    asked: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/a.c2pa"
        packet = (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
            f' rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{address}"/>'
            "</rdf:RDF></x:xmpmeta>"
        )
        Image.fromarray(picture()).save(tmp_path / "a.jpg", xmp=packet.encode())
        try:
            assert read_mark(tmp_path / "a.jpg") is None
        finally:
            server.shutdown()
            thread.join()
    assert asked == []


def test_the_manifest_says_what_the_mark_says() -> None:
    [assertion] = manifest_of(MARK)["assertions"]
    [action] = assertion["data"]["actions"]
    assert action["digitalSourceType"] == SOURCE_TYPES["edited"]
    assert action["softwareAgent"]["name"] == "segma"
    assert "model: tiny ü" in action["description"]


def test_the_environment_says_whose_signature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: tuple[str, ...] = ("SEGMA_C2PA_CERTIFICATES", "SEGMA_C2PA_KEY")
    file = tmp_path / "a.pem"
    file.write_text("x")
    whole: dict[str, str] = dict.fromkeys(names, str(file))
    assert signing_of({}) is None
    with pytest.raises(InputError, match="Only SEGMA_C2PA_KEY is set"):
        signing_of({names[1]: str(file)})
    with pytest.raises(InputError, match="no file"):
        signing_of(whole | {names[1]: str(tmp_path / "none.pem")})
    with pytest.raises(InputError, match="Use es256"):
        signing_of(whole | {"SEGMA_C2PA_ALGORITHM": "rot13"})
    monkeypatch.setattr(credentials, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"segma\[provenance\]"):
        signing_of(whole)
    monkeypatch.setattr(credentials, "find_spec", lambda name: object())
    assert signing_of(whole) == Signing(certificates=file, key=file)


def test_nothing_is_signed_without_a_certificate(tmp_path: Path) -> None:
    path = write_image(picture(), tmp_path / "a.png", mark=MARK)
    before = path.read_bytes()
    sign(path, MARK, None)
    assert path.read_bytes() == before
