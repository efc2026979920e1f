"""What docs/operations.md and deploy/systemd say agrees with the rest of the repository."""

import re
import shutil
import subprocess

import pytest

from servable import options
from tests.operations import runbook, services
from tests.process.launching import PATIENCE_S
from tests.tools import require

UNITS = sorted(services.FOLDER.glob("*.service"))
UNIT = services.settings_of((services.FOLDER / "servable.service").read_text())
ALERTS = re.findall(r"alert: (\w+)", (runbook.ROOT / "deploy" / "prometheus" / "alerting_rules.yml").read_text())
# What systemd finds reachable for a service, of 10; one without any setting has 9.6.
MOST_EXPOSED = 2.0


def flags_of_unit():
    return dict(re.findall(r"--(\w+)=(\S+)", UNIT["ExecStart"]))


def test_each_alert_has_its_section_in_order():
    sections = [heading for heading in runbook.HEADINGS if heading.startswith("Servable")]
    assert sections == ALERTS


def test_each_block_with_a_title_is_a_file_or_commands_of_a_machine_that_a_test_runs():
    walk = (runbook.ROOT / "tests" / "operations" / "test_walk.py").read_text()
    places = ("/srv/ca/", "/etc/servable/", "/etc/prometheus/")
    for block in runbook.BLOCKS:
        assert block.title.startswith((runbook.ROOT_ONLY, *places)) or f'"{block.title}"' in walk


def test_each_file_that_is_named_is_there():
    named = re.findall(r"\b(?:deploy|requirements)/[\w./*-]+\w", runbook.PAGE)
    assert named
    for name in named:
        assert list(runbook.ROOT.glob(name)), name


def test_the_unit_gives_a_drain_its_time():
    flags = flags_of_unit()
    assert float(UNIT["TimeoutStopSec"]) > float(flags["drain_delay_s"]) + float(flags["drain_timeout_s"])


def test_the_unit_and_the_page_name_flags_that_there_are():
    known = {row.split("`")[1].removeprefix("--") for row in options.markdown_table().splitlines()[2:]}
    assert set(flags_of_unit()) <= known
    variables = "".join(text for title, text in runbook.files_below("/etc/servable/servable.env").items())
    assert set(re.findall(r"--(\w+)", variables)) <= known


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_the_units_and_finds_them_hardened(unit, tmp_path):
    analyze = require("systemd-analyze")
    # The programs that it starts must be there.
    text = re.sub(r"/opt/\w+/bin/\w+", shutil.which("true"), unit.read_text())
    copy = tmp_path / unit.name
    copy.write_text(text)
    said = subprocess.run([analyze, "verify", copy], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")
    found = subprocess.run(
        [analyze, "security", "--offline=true", f"--threshold={MOST_EXPOSED * 10:.0f}", "--no-pager", copy],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
