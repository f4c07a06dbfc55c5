"""What a worker is told by its parent."""

from __future__ import annotations

from pathlib import Path

from gateway.config import RelayConfig, load_mapping
from gateway.logs import LogSettings
from gateway.relay.worker import Job


def test_a_job_arrives_as_it_was_sent(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x" * 32)
    content = {
        "relay": {"listen": "[::1]:9000", "queue": "3MiB", "handshake": "333ms", "workers": "auto", "origins": []},
        "mqtt": [{"url": "mqtts://me:geheim@a:1"}, {"url": "mqtt://b", "root": "lab", "persistent": False}],
        "auth": {"secret_file": str(secret)},
        "outlet": [
            {"type": "zmq", "bind": "ipc://x", "stream": "a/b", "every": 3},
            {"type": "tcp", "listen": "127.0.0.1:9100", "stream": "a/b", "policy": "decimate"},
        ],
    }
    job = Job(3, load_mapping(RelayConfig, content, "test"), LogSettings(2), 7.5)
    assert Job.load(job.dump()) == job
