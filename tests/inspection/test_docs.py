"""docs/inspect.md is true."""

import dataclasses
import re
from pathlib import Path

import servable.inspection
from servable.inspection import checks, report, tflite
from tests.inspection.making import look

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "inspect.md").read_text(encoding="utf-8")


def section(heading):
    return DOCS.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_every_key_of_the_json_is_documented():
    keys = {field.name for kind in (report.Report, report.Signature, report.Tensor, report.Verdict, report.ModelWarning)
            for field in dataclasses.fields(kind)}  # fmt: skip
    assert {key for key in keys if f"`{key}`" not in section("`--json`")} == set()


def test_the_table_of_warnings_has_the_codes_that_are_given():
    documented = re.findall(r"^\| `(\w+)` \|", section("Warnings"), re.MULTILINE)
    source = "".join(Path(module.__file__).read_text(encoding="utf-8") for module in (checks, tflite))
    assert sorted(documented) == sorted(set(re.findall(r'ModelWarning\(\s+"(\w+)"', source)))


def test_the_sample_is_what_the_demo_model_gives():
    text = servable.inspection.to_text(look(ROOT / "examples" / "digits" / "model"))
    sample = re.search(r"```\n(SavedModel.*?)```", DOCS, re.DOTALL)[1]
    # The directory is another, and with it the model's name, and so may be what is installed.
    volatile = re.compile(r"^  (?:directory|made with) .*$|(?<=-m )\w+|(?<=\"name\": \")\w+", re.MULTILINE)
    assert volatile.sub("", text).startswith(volatile.sub("", sample))
