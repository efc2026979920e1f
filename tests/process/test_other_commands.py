"""Verbs that other packages add to the command `servable`."""

import os
import subprocess
import sys


def run(folder, *words):
    paths = [str(folder), *sys.path]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-m", "servable", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)


def install(folder):
    """A package with the verb `greet`, as pip would install it."""
    (folder / "greeter.py").write_text("def main(arguments):\n    print('hello', *arguments)\n    return 7\n")
    about = folder / "greeter-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: greeter\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[servable.commands]\ngreet = greeter:main\nserve = greeter:main\n")


def test_a_verb_of_another_package_gets_the_words_after_it_and_gives_the_status(tmp_path):
    install(tmp_path)
    found = run(tmp_path, "greet", "--you", "all")
    assert (found.returncode, found.stdout) == (7, "hello --you all\n")


def test_help_lists_it_and_no_package_takes_a_verb_of_ours(tmp_path):
    install(tmp_path)
    assert "greet" in run(tmp_path, "--help").stdout
    assert "hello" not in run(tmp_path, "serve", "--version").stdout
