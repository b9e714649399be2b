"""Logs for others: event files of TensorBoard, read back by a parser that knows only the formats' own descriptions, and
posts to a server."""

from __future__ import annotations

import http.server
import json
import struct
import threading
import urllib.parse
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as k
from graphc import layers as n
from graphc.callbacks import events

Fields = dict[int, list[Any]]


def checksum(data: bytes) -> int:
    """CRC-32C bit by bit, masked."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(path: Path) -> Iterator[bytes]:
    raw = path.read_bytes()
    while raw:
        (size,) = struct.unpack_from("<Q", raw)
        assert struct.unpack_from("<I", raw, 8) == (checksum(raw[:8]),)
        body = raw[12 : 12 + size]
        assert struct.unpack_from("<I", raw, 12 + size) == (checksum(body),)
        yield body
        raw = raw[16 + size :]


def number(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while raw[at] & 128:
        value |= (raw[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return value | raw[at] << shift, at + 1


def fields(raw: bytes) -> Fields:
    """The fields of a message by number: integers, doubles, or bytes."""
    found: Fields = {}
    value: Any
    at = 0
    while at < len(raw):
        key, at = number(raw, at)
        if key & 7 == 0:
            value, at = number(raw, at)
        elif key & 7 == 1:
            (value,), at = struct.unpack_from("<d", raw, at), at + 8
        else:
            size, at = number(raw, at)
            value, at = raw[at : at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def summaries(folder: Path) -> list[tuple[str, str, int, Fields]]:
    """(tag, plugin, step, tensor) of every summary in a folder's one file."""
    (path,) = folder.glob("events.out.tfevents.*.v2")
    first, *rest = map(fields, records(path))
    assert first[3] == [b"brain.Event:2"]
    assert first[1][0] == pytest.approx(path.stat().st_mtime, abs=60)
    found = []
    for event in rest:
        (value,) = map(fields, fields(event[5][0])[1])
        (plugin,) = fields(fields(value[9][0])[1][0])[1]
        found.append((value[1][0].decode(), plugin.decode(), event.get(2, [0])[0], fields(value[8][0])))
    return found


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for tag, plugin, step, tensor in summaries(folder):
        if plugin == "scalars":
            assert tensor[1] == [events.DT_FLOAT]
            found.setdefault(tag, []).append((step, struct.unpack("<f", tensor[5][0])[0]))
    return found


def trained(folder: Path, **options: Any) -> Any:
    model = k.Sequential([k.Input((4,)), n.Dense(3, name="wide")], name="m")
    model.compile(k.optimizers.SGD(0.25), "mse", metrics=["mae"])
    x = np.random.default_rng(0).normal(size=(20, 4))
    callback = k.callbacks.TensorBoard(folder, **options)
    model.fit(x, x[:, :3], batch_size=8, epochs=2, validation_split=0.2, callbacks=[callback], verbose=0)
    return model


def test_scalars_of_epochs_batches_and_validations(tmp_path: Path) -> None:
    model = trained(tmp_path, update_freq=2, write_steps_per_second=True)
    history = model.history.history
    train, validation = scalars(tmp_path / "train"), scalars(tmp_path / "validation")
    single = {key: [float(np.float32(v)) for v in values] for key, values in history.items()}
    for name in ("loss", "mae"):
        assert train[f"epoch_{name}"] == list(enumerate(single[name]))
        assert validation[f"epoch_{name}"] == list(enumerate(single[f"val_{name}"]))
        assert validation[f"evaluation_{name}_vs_iterations"] == list(zip((2, 4), single[f"val_{name}"], strict=True))
        assert [step for step, _ in train[f"batch_{name}"]] == [2, 4]
    assert train["batch_loss"][0][1] == pytest.approx(history["loss"][0])
    assert train["epoch_learning_rate"] == [(0, 0.25), (1, 0.25)]
    assert all(rate > 0 for _, rate in train["epoch_steps_per_second"])


def test_histograms_and_pictures_of_weights(tmp_path: Path) -> None:
    model = trained(tmp_path, histogram_freq=2, write_images=True, write_graph=False)
    found = {(tag, plugin): tensor for tag, plugin, _, tensor in summaries(tmp_path / "train")}
    tensor = found["m/wide/kernel/histogram", "histograms"]
    assert [fields(size)[1] for size in fields(tensor[2][0])[2]] == [[30], [3]]
    left, right, counts = np.frombuffer(tensor[4][0]).reshape(30, 3).T
    np.testing.assert_array_equal(left[1:], right[:-1])
    assert counts.sum() == model.get_layer("wide").kernel.array.size
    width, height, picture = found["m/wide/kernel/image", "images"][8]
    assert (width, height, picture[1:4]) == (b"4", b"3", b"PNG")
    assert struct.unpack_from(">II", picture, 16) == (4, 3)
    assert len([tag for tag, plugin in found if plugin == "images"]) == 2


def test_a_picture_is_what_was_drawn() -> None:
    image = np.array([[[0.0], [1.0], [0.5]], [[0.25], [2.0], [-1.0]]])
    raw = events.png(image)
    (size,) = struct.unpack_from(">I", raw, 33)
    rows = np.frombuffer(zlib.decompress(raw[41 : 41 + size]), np.uint8).reshape(2, 4)
    np.testing.assert_array_equal(rows, [[0, 0, 255, 127], [0, 63, 255, 0]])
    assert struct.unpack_from(">I", raw, 41 + size) == (zlib.crc32(raw[37 : 41 + size]),)


def test_checksums_are_those_of_rfc_3720() -> None:
    assert events.crc32c(bytes(32)) == 0x8A9136AA
    assert events.crc32c(bytes(range(32))) == 0x46DD794E
    assert events.crc32c(b"123456789") == 0xE3069283


def test_epochs_alone_cost_no_batch_hook(tmp_path: Path) -> None:
    from graphc.callbacks import CallbackList

    quiet, loud = k.callbacks.TensorBoard(tmp_path), k.callbacks.TensorBoard(tmp_path, update_freq="batch")
    assert CallbackList([quiet, loud]).listeners("on_train_batch_end") == [loud]


def test_what_is_not_written_is_said() -> None:
    with pytest.raises(NotImplementedError, match="embeddings are not written"):
        k.callbacks.TensorBoard(embeddings_freq=1)
    with pytest.warns(UserWarning, match="`profile_batch` does nothing here"):
        k.callbacks.TensorBoard(profile_batch=2)


@pytest.mark.parametrize("as_json", [False, True])
def test_epochs_are_posted_to_a_server(as_json: bool) -> None:
    received: list[tuple[str, str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append((self.path, str(self.headers["X-Run"]), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Silent."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    monitor = k.callbacks.RemoteMonitor(root, "/end/", "logs", {"X-Run": "7"}, send_as_json=as_json)
    monitor.on_epoch_end(3, {"loss": 0.5, "each": np.array([1.0, 2.0])})
    server.shutdown()
    server.server_close()
    ((path, run, body),) = received
    text = body if as_json else urllib.parse.parse_qs(body)["logs"][0]
    assert (path, run, json.loads(text)) == ("/end/", "7", {"epoch": 3, "loss": 0.5, "each": [1.0, 2.0]})
    with pytest.warns(UserWarning, match=f"Could not reach RemoteMonitor root server at {root}"):
        monitor.on_epoch_end(4, {"loss": 0.25})
