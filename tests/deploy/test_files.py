"""The files of deploy/ that no trial reads."""

import re
import shutil
import subprocess
import tomllib
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from tests.deploy import DEPLOY
from tests.proxies import SEARCH_PATH
from tests.servers import CHECKOUT


def test_images_and_services_are_made_of_files_that_exist():
    copied = re.findall("^COPY (?!--from)(.+) ", (DEPLOY / "Dockerfile").read_text(), re.M)
    sources = [CHECKOUT / name for names in copied for name in names.split()]
    mounted = re.findall("^    file: (?!secrets/)(.+)", (DEPLOY / "compose.yaml").read_text(), re.M)
    assert copied
    assert mounted
    for source in (*sources, *(DEPLOY / name for name in mounted)):
        assert source.exists(), source


@pytest.mark.parametrize("tls", ["a port of this machine", "a port of compose"])
def test_the_proxy_with_the_certificate_is_trusted(tls):
    """Or all clients would count as one: HAProxy adds the address from which it is reached."""
    settings = tomllib.loads((DEPLOY / "settings.toml").read_text())
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    address = ip_address("127.0.0.1")
    if tls == "a port of compose":  # where that is the gateway, which is the first one
        [config] = compose["networks"]["front"]["ipam"]["config"]
        address = ip_network(config["subnet"])[1]
    trusted = settings["production"]["server"]["trusted_proxies"]
    assert any(address in ip_network(network) for network in trusted)


def test_secrets_for_services_are_made(tmp_path):
    folder = tmp_path / "secrets"
    subprocess.run([DEPLOY / "secrets.sh", folder], check=True)
    named = re.findall("^    file: secrets/(.+)", (DEPLOY / "compose.yaml").read_text(), re.M)
    assert {path.name for path in folder.iterdir()} == {*named, "patroni.env"}
    assert folder.stat().st_mode & 0o777 == 0o700


# What these two need is no part of a checkout's set-up; .ci/run installs it.
@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck here")
def test_scripts_are_clean():
    subprocess.run(["shellcheck", *DEPLOY.glob("*.sh")], check=True)


@pytest.mark.skipif(not shutil.which("nginx", path=SEARCH_PATH), reason="no nginx here")
def test_nginx_takes_its_file(tmp_path):
    command = "openssl req -x509 -nodes -days 1 -newkey rsa:2048 -keyout key.pem -out chain.pem"
    command += " -subj /CN=pamps"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    text = (DEPLOY / "nginx.conf").read_text()
    for name, file in (("fullchain", "chain"), ("privkey", "key")):
        text = text.replace(f"/etc/letsencrypt/live/pamps.example.com/{name}.pem", f"{file}.pem")
    Path(tmp_path, "nginx.conf").write_text(f"pid nginx.pid; events {{}} http {{ {text} }}")
    program = shutil.which("nginx", path=SEARCH_PATH)
    options = ["-t", "-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr"]
    done = subprocess.run([program, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
