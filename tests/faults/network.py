"""Cuts of the network between API, primary and standby, each in a network namespace of its own."""

import contextlib
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import yaml

from tests.deploy import DEBIAN, DEPLOY, missing
from tests.deploy.trials import AS_OWNER
from tests.faults.clients import Client, Record, crowd
from tests.faults.production import PAUSE_SECONDS
from tests.faults.scenarios import LeftOut, Stage, scenario
from tests.faults.servers import Pamps
from tests.postgresql import end_all, wait_until
from tests.proxies import SEARCH_PATH

NET = "10.99.7"
API, NODES, ETCD = f"{NET}.1", {"postgres-1": f"{NET}.11", "postgres-2": f"{NET}.12"}, f"{NET}.13"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def inside(name: str) -> list[str]:
    return ["ip", "netns", "exec", f"pamps-{name}"]


@contextlib.contextmanager
def network() -> Iterator[None]:
    """A namespace for each, with an address, and a bridge between them; the API is in this one."""
    if absent := missing("patroni", "etcd"):
        raise LeftOut(f"no {', '.join(absent)} here")
    if os.geteuid() != 0:
        raise LeftOut("only root can make network namespaces")
    places = {"switch": "", "api": API, "etcd": ETCD} | NODES
    with contextlib.ExitStack() as stack:
        for name in places:
            if name != "api":  # which is here
                ip("netns", "add", f"pamps-{name}")
                stack.callback(ip, "netns", "del", f"pamps-{name}")
        # In a namespace of its own, as a firewall here may let nothing through a bridge.
        ip("-n", "pamps-switch", "link", "add", "bridge", "type", "bridge")
        ip("-n", "pamps-switch", "link", "set", "bridge", "up")
        for name, address in list(places.items())[1:]:
            port, device = f"to-{name}"[:15], "pamps0" if name == "api" else "eth0"
            where = [] if name == "api" else ["-n", f"pamps-{name}"]
            ip("-n", "pamps-switch", "link", "add", port, "type", "veth", "peer", device)
            ip(
                "-n",
                "pamps-switch",
                "link",
                "set",
                device,
                "netns",
                f"pamps-{name}" if where else str(os.getpid()),
            )
            ip("-n", "pamps-switch", "link", "set", port, "master", "bridge", "up")
            ip(*where, "addr", "add", f"{address}/24", "dev", device)
            ip(*where, "link", "set", device, "up")
            ip(*where, "link", "set", "lo", "up")
        yield


@contextlib.contextmanager
def cut(name: str, *addresses: str) -> Iterator[None]:
    """Meanwhile no packet passes between one of them and these addresses."""
    rules = [rule for a in addresses for rule in (f"INPUT -s {a}", f"OUTPUT -d {a}")]
    for how in ("-A", "-D"):
        for rule in rules:
            command = [*inside(name), "iptables", how, *rule.split(), "-j", "DROP"]
            subprocess.run(command, check=True)
        if how == "-A":
            yield


class Cluster:
    """etcd, and two PostgreSQL under Patroni."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder, self.stack = folder, stack
        folder.chmod(0o755)
        subprocess.run([DEPLOY / "secrets.sh", folder / "secrets"], check=True)
        (folder / "secrets").chmod(0o755)
        self.password = (folder / "secrets" / "pamps_password").read_text()
        self.launch("etcd", "etcd", "--data-dir", folder / "etcd", *self._etcd())
        wait_until(lambda: status(f"http://{ETCD}:2379/health") == 200, 30)
        for name in NODES:
            self.launch(name, "patroni", self._configure(name))
            path = "primary" if name == "postgres-1" else "replica"
            url = f"http://{NODES[name]}:8008/{path}"
            if not wait_until(lambda url=url: status(url) == 200, 60):
                raise RuntimeError((folder / f"{name}.log").read_text()[-2000:])

    @staticmethod
    def _etcd() -> list[str]:
        return [
            f"--listen-client-urls=http://{ETCD}:2379",
            f"--advertise-client-urls=http://{ETCD}:2379",
            f"--listen-peer-urls=http://{ETCD}:2380",
            f"--initial-advertise-peer-urls=http://{ETCD}:2380",
            f"--initial-cluster=default=http://{ETCD}:2380",
        ]

    def launch(self, name: str, *command: str | Path) -> None:
        secrets = dict(
            line.split("=", 1)
            for line in (self.folder / "secrets" / "patroni.env").read_text().splitlines()
        )
        environment = os.environ | secrets | {"PATH": SEARCH_PATH}
        environment["SECRETS"] = str(self.folder / "secrets")
        (self.folder / name).mkdir()
        subprocess.run(["chown", "postgres:", self.folder / name], check=True)
        (self.folder / name).chmod(0o700)
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*inside(name), *AS_OWNER, *command], env=environment, stdout=log, stderr=log
            )
        self.stack.callback(process.kill)

    def _configure(self, name: str) -> Path:
        """deploy/patroni/patroni.yaml with the addresses and folders here."""
        found = yaml.safe_load((DEPLOY / "patroni" / "patroni.yaml").read_text())
        found["name"] = name
        found["restapi"]["connect_address"] = f"{NODES[name]}:8008"
        found["etcd3"] = {"host": f"{ETCD}:2379"}
        found["bootstrap"]["post_bootstrap"] = str(DEPLOY / "database.sh")
        parameters = found["bootstrap"]["dcs"]["postgresql"]["parameters"]
        hba = self.folder / "pg_hba.conf"
        hba.write_text((DEPLOY / "pg_hba.conf").read_text())
        parameters["hba_file"] = str(hba)
        common = self.folder / "postgresql.conf"
        text = (DEPLOY / "postgresql.conf").read_text()
        for old, new in (("'8GB'", "'128MB'"), ("'24GB'", "'1GB'"), ("'20GB'", "'1GB'")):
            text = text.replace(old, new)
        common.write_text(text)
        sockets = self.folder / name
        found["postgresql"] |= {
            "connect_address": f"{NODES[name]}:5432",
            "data_dir": str(self.folder / name / "data"),
            "bin_dir": str(max(DEBIAN.glob("*/bin"))),
            "pgpass": str(self.folder / name / "pgpass"),
            "custom_conf": str(common),
            "parameters": {"unix_socket_directories": str(sockets)},
        }
        config = self.folder / f"{name}.yaml"
        config.write_text(yaml.safe_dump(found))
        return config

    def address(self, *hosts: str) -> str:
        return f"postgresql://pamps:{self.password}@/pamps?host={','.join(hosts)}"

    def psql(self, name: str, statement: str) -> str:
        """What a superuser is answered on the node itself, whatever the network does."""
        command = [*AS_OWNER, "psql", "-XAtd", "postgres", "-h", self.folder / name]
        done = subprocess.run([*command, "-c", statement], capture_output=True, text=True)
        return done.stdout.strip()

    def primaries(self) -> list[str]:
        """The nodes that take writes."""
        question = "SELECT pg_is_in_recovery()"
        return [name for name in NODES if self.psql(name, question) == "f"]


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


class Watch:
    """Looks at both nodes all the time, for two that take writes."""

    def __init__(self, cluster: Cluster) -> None:
        self.looks, self.both, self._stop = 0, 0, threading.Event()
        self._thread = threading.Thread(target=self._look, args=[cluster])

    def _look(self, cluster: Cluster) -> None:
        while not self._stop.wait(0.2):
            self.looks += 1
            self.both += len(cluster.primaries()) > 1

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def writing(record: Record, intended: list[str]):
    def turn(client: Client) -> None:
        text, key = client.next_text(), str(uuid.uuid4())
        intended.append(text)
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            answer = client.request("POST", "/post/", {"text": text}, key=key)
            record.add(answer, text)
            if answer.succeeded:
                return
            time.sleep(PAUSE_SECONDS)

    return turn


@scenario(long={"seconds": 40})
def network_cut(stage: Stage, seconds: int) -> None:
    folder = stage.ground.folder / "network"
    folder.mkdir()
    stage.ground.folder.chmod(0o755)
    with network(), contextlib.ExitStack() as stack:
        cluster = Cluster(folder, stack)
        address = cluster.address(*NODES.values())
        services = []
        for number in range(2):
            settings = {"DB__replica_uri": address} | stage.ground.settings
            services.append(Pamps(address, folder / f"pamps{number}.log", **settings))
        services[0].run("migrate")
        for service in services:
            service.log.write_bytes(b"")
            stack.callback(service.kill)
            service.start()
        users = [Client(services[n % 2].port, f"user{n}") for n in range(16)]
        for user in users:
            user.sign_up()
        readers = [Client(services[n % 2].port) for n in range(8)]
        for reader, user in zip(readers[::2], users, strict=False):
            reader.token = user.token
        intended: list[str] = []
        every = Record()
        for name in ("API and primary", "primary and standby", "primary and all but the API"):
            (primary,) = cluster.primaries()
            (standby,) = set(NODES) - {primary}
            others = {
                "API and primary": [API],
                "primary and standby": [NODES[standby]],
                "primary and all but the API": [NODES[standby], ETCD],
            }[name]
            record, reads, last, longest = Record(), Record(), {}, [0.0]

            def read(client: Client, reads=reads, last=last, longest=longest) -> None:
                answer = client.request("GET", "/post/")
                reads.add(answer)
                if answer.succeeded:
                    longest[0] = max(longest[0], answer.ended - last.get(client, answer.ended))
                    last[client] = answer.ended
                else:
                    time.sleep(PAUSE_SECONDS)

            with (
                Watch(cluster) as watch,
                crowd(users, writing(record, intended)),
                crowd(readers, read),
            ):
                time.sleep(3)
                with cut(primary, *others):
                    began = time.monotonic()
                    back = record.first_success(began + 1, seconds)
                    # Both answer etcd, so the primary gives the standby up.
                    goes_on = name != "primary and standby" or back is not None
                    stage.expect(goes_on, f"{name}: writes wait for the standby")
                    meanwhile = "none" if back is None else f"from {back - began:.1f} s on"
                    time.sleep(max(0, began + seconds - time.monotonic()))
                healed = time.monotonic()
                back = record.first_success(healed, 60)
                time.sleep(8)
            every.acknowledged |= record.acknowledged
            stage.say(
                f"{name}: writes meanwhile {meanwhile}, after it from"
                f" {(back or float('inf')) - healed:.1f} s on; writes {record}, the slowest"
                f" {record.slowest:.1f} s; reads {reads}, the slowest {reads.slowest:.1f} s,"
                f" none for {longest[0]:.1f} s; two primaries {watch.both} of {watch.looks};"
                f" {primary} was and {cluster.primaries()} is the primary"
            )
            print(stage.figures[-1], flush=True)
            stage.expect(not watch.both, f"{name}: two nodes took writes")
            stage.expect(back, f"{name}: writes do not come back")
            bound = services[0].seconds("request_timeout") + 1
            wrong = [
                answer
                for answer in [*record.others, *reads.others]
                if answer.seconds > bound or not (answer.refused or answer.status == 409)
            ]
            stage.expect(not wrong, f"{name}: {len(wrong)}, such as {[*map(str, wrong[:3])]}")
            wait_until(lambda: len(cluster.primaries()) == 1 and _both_run(cluster), 60, 0.5)
        with contextlib.closing(
            psycopg2.connect(address + "&target_session_attrs=read-write")
        ) as c:
            cursor = c.cursor()
            cursor.execute("SELECT text, count(*) FROM post GROUP BY text")
            counts = dict(cursor.fetchall())
        lost = [text for text in every.acknowledged if text not in counts]
        twice = [text for text in intended if counts.get(text, 0) > 1]
        stage.say(f"acknowledged {len(every.acknowledged)}, lost {len(lost)}, twice {len(twice)}")
        stage.expect(not lost, f"lost {lost[:3]}")
        stage.expect(not twice, f"twice {twice[:3]}")
        for service in services:
            service.kill()
        end_all()


def _both_run(cluster: Cluster) -> bool:
    return all(cluster.psql(name, "SELECT 1") == "1" for name in NODES)
