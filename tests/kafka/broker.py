"""A real Apache Kafka for tests: one KRaft node from Maven's jars, without containers.

`python -m tests.kafka.broker [--port 9092]` runs one until Ctrl-C, for trying things by hand.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

POM = Path(__file__).with_name("pom.xml")
CONNECT_POM = Path(__file__).with_name("connect-pom.xml")
JAVA_AT_LEAST = 17
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
SHORT_RUN = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")  # a Java that is soon done again
CLUSTER_ID = "a29sLXN0cmVhbS10ZXN0cw"  # 16 bytes in base64 without padding, as Kafka wants it

# One node, so one copy of everything; groups form at once; nobody gets a topic by misspelling one.
# Records stay, whatever times they bear. Short sessions, so that a killed worker, or the killed
# broker itself, is soon taken for gone.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
log.dirs={directory}/logs
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=250
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.dedupe.buffer.size=8388608
log.retention.ms=-1
"""


class KafkaUnavailable(Exception):
    """Why there can be no Kafka on this machine, in one line."""


class KafkaBroker:
    """One broker on 127.0.0.1, from `start` to `stop`; its records outlive a stop, not `directory`.

    Args:
        directory: where its configuration, records and `broker.log` go.
        port: a free one if None; the same one for every start of this object.
    """

    def __init__(self, directory: Path, port: int | None = None) -> None:
        self.directory = directory
        self.log_path = directory / "broker.log"
        self._port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(kill=True)

    def start(self) -> None:
        """Answers requests after the call; with the records of before, if it ran before."""
        if self._process is not None:
            return
        classpath = f"{jars()}/*"
        configuration = self.directory / "server.properties"
        if not configuration.exists():
            self._format(classpath, configuration)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                java("-Xmx512m", "-cp", classpath, "kafka.Kafka", str(configuration)),
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl-C in the terminal is for the tests, which then stop the broker in order.
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers()
        except BaseException:  # a Ctrl-C above all: nobody else knows of the process yet
            self.stop(kill=True)
            raise

    def stop(self, *, kill: bool = False) -> None:
        """It is gone after the call: in good order, or with `kill` as by a power cut."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGCONT)  # a paused process would not hear the next signal
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Connections stay open but nothing is answered, as with a machine that hangs."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Goes on where `pause` stopped it."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("the broker is not running")
        self._process.send_signal(number)

    def _format(self, classpath: str, configuration: Path) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        configuration.write_text(self._properties())
        tool = ("kafka.tools.StorageTool", "format", "--standalone")
        subprocess.run(
            java(*SHORT_RUN, "-cp", classpath, *tool, "-t", CLUSTER_ID, "-c", str(configuration)),
            check=True,
            capture_output=True,
        )

    def _properties(self) -> str:
        return PROPERTIES.format(
            port=self._port, controller_port=free_port(), directory=self.directory
        )

    def _wait_until_it_answers(self) -> None:
        client = AdminClient(
            {
                "bootstrap.servers": self.bootstrap,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 100,
                "log_level": 0,
            }
        )
        deadline = monotonic() + START_TIMEOUT_S
        while monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                client.list_topics(timeout=1.0)
            except KafkaException:
                continue  # not yet; the loop's conditions say when to give up
            return
        raise RuntimeError(f"Kafka did not start:\n{self.log_path.read_text()[-4000:]}")


def java(*arguments: str) -> list[str]:
    """The command line of a quiet Java with these arguments; its log goes to its stderr."""
    return [_executable("java"), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", *arguments]


def jars(pom: Path = POM) -> Path:
    """The folder with the jars that `pom` names, fetched by Maven the first time (broker: 43 MB).

    Raises:
        KafkaUnavailable: no Java or one too old, no Maven, or no way to the jars.
    """
    _check_java()
    digest = hashlib.sha256(pom.read_bytes()).hexdigest()[:12]
    folder = _cache() / f"kafka-{digest}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its final place, so that a fetch cut short is never taken for a whole one.
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        goal = ("dependency:copy-dependencies", f"-DoutputDirectory={unfinished}/jars")
        command = [_executable("mvn"), "-q", "-B", "-f", str(pom), *goal]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise KafkaUnavailable(f"Maven cannot fetch Kafka: {done.stdout[:500]}")
        try:
            Path(unfinished, "jars").rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another run was first, with the same jars
                raise
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kol-stream"


def _check_java() -> None:
    said = subprocess.run(
        [_executable("java"), "-version"], capture_output=True, text=True, check=False
    ).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_AT_LEAST:
        raise KafkaUnavailable(f"Kafka needs Java {JAVA_AT_LEAST} or newer")


def _executable(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise KafkaUnavailable(f"{name} is not installed")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description="Run one Apache Kafka broker until Ctrl-C.")
    parser.add_argument("--port", type=int, default=9092)
    port = parser.parse_args().port
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.default_int_handler)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="kol-kafka-") as directory,
            KafkaBroker(Path(directory), port) as broker,
        ):
            sys.stdout.write(f"Kafka listens on {broker.bootstrap}; Ctrl-C ends it.\n")
            sys.stdout.flush()
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except KafkaUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
