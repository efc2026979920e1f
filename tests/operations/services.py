"""Units of deploy/systemd as processes: what systemd would run, without systemd."""

import re
import shlex
import signal
import subprocess

from tests.deploy import prometheus
from tests.operations.runbook import ROOT
from tests.process.launching import PATIENCE_S

FOLDER = ROOT / "deploy" / "systemd"


def settings_of(text, section="Service"):
    """The settings of a section of a unit, by name; those that are there twice have the last value."""
    (body,) = re.findall(rf"^\[{section}\]\n(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^(\w+)=(.*)$", re.sub(r"\s*\\\n\s*", " ", body), re.MULTILINE))


def words_of(command, variables):
    """The words of a command line of a unit, with variables as systemd fills them in."""
    words = []
    for word in shlex.split(command):
        if word.startswith("$") and not word.startswith("${"):
            words += variables[word[1:]].split()
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda found: variables[found[1]], word))
    return words


class Service:
    """A unit on a Host: `start` and `await_start` are `systemctl start`, `stop` is `systemctl stop`."""

    def __init__(self, host, name):
        self._host, self._process = host, None
        self._settings = settings_of(host.translate((FOLDER / name).read_text()))
        self._variables = _read_variables(self._settings.get("EnvironmentFile"))
        self._journal = host.root / f"{name}.log"

    def start(self):
        """Start it; see `await_start`."""
        self._run("ExecStartPre")
        with self._journal.open("ab") as journal:
            self._process = subprocess.Popen(
                words_of(self._settings["ExecStart"], self._variables), cwd=self._host.root,
                env=self._host.environment(**self._variables), stdin=subprocess.DEVNULL, stdout=journal, stderr=journal,
            )  # fmt: skip

    def await_start(self):
        """Wait until it counts as started."""
        self._run("ExecStartPost")

    def stop(self, *, hastily=False):
        """End it as systemd does, and give its exit status; hastily: skip the delay of a drain."""
        self._process.send_signal(signal.SIGTERM)
        if hastily:
            prometheus.wait_for(lambda: "a second signal skips this" in self._journal.read_text())
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(float(self._settings["TimeoutStopSec"]))

    def kill(self):
        """End it now, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_S)

    def _run(self, setting):
        if setting not in self._settings:
            return
        words = words_of(self._settings[setting], self._variables)
        with subprocess.Popen(
            words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self._host.environment()
        ) as process:
            try:
                written, _ = process.communicate(timeout=float(self._settings.get("TimeoutStartSec", PATIENCE_S)))
            finally:
                process.kill()
        assert process.returncode == 0, f"{written}\n{self._journal_text()}"

    def _journal_text(self):
        return self._journal.read_text() if self._journal.exists() else ""


def _read_variables(path):
    if path is None:
        return {}
    with open(path, encoding="utf-8") as lines:
        return dict(line.rstrip("\n").split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
